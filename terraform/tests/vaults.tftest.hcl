# One keyrelay for many vaults: what each of them gets, and what they share.

mock_provider "azurerm" {
  source = "./tests/mocks"
}

variables {
  name                = "contoso-keyrelay"
  resource_group_name = "keyrelay"
  location            = "westeurope"
  scopes              = ["/subscriptions/00000000-0000-0000-0000-000000000001"]
  vaults = {
    shop = {
      id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-shop"
      location = "northeurope"
    }
    bank = {
      id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/Bank/providers/Microsoft.KeyVault/vaults/contoso-bank"
      location = "westeurope"
    }
    bank-2 = {
      id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/bank/providers/Microsoft.KeyVault/vaults/contoso-bank-2"
      location = "westeurope"
    }
  }
}

# Guards vaults in several groups and regions: one app and one store, and a topic, a subscription and a right for each vault.
run "many_vaults" {
  command = apply

  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_VAULTS"] == "contoso-bank,contoso-bank-2,contoso-shop"
    error_message = "keyrelay handles events of all vaults, and of no other."
  }
  assert {
    condition     = { for key, topic in azurerm_eventgrid_system_topic.this : key => "${topic.name} ${topic.resource_group_name} ${topic.location}" } == { shop = "contoso-keyrelay-shop shop northeurope", bank = "contoso-keyrelay-bank Bank westeurope", bank-2 = "contoso-keyrelay-bank-2 bank westeurope" }
    error_message = "A topic is in the resource group and the region of its vault."
  }
  assert {
    condition     = { for key, topic in azurerm_eventgrid_system_topic.this : key => topic.source_resource_id } == { for key, vault in var.vaults : key => vault.id }
    error_message = "Each topic has the events of its vault."
  }
  assert {
    condition     = toset(keys(azurerm_eventgrid_system_topic_event_subscription.this)) == toset(keys(var.vaults)) && alltrue([for subscription in azurerm_eventgrid_system_topic_event_subscription.this : subscription.storage_blob_dead_letter_destination[0].storage_blob_container_name == "dead-letter"])
    error_message = "Each topic delivers to keyrelay, and keeps what it cannot deliver."
  }
  assert {
    condition     = { for key, assignment in azurerm_role_assignment.versions : key => assignment.scope } == { for key, vault in var.vaults : key => vault.id }
    error_message = "keyrelay lists versions in each vault."
  }
  assert {
    condition     = length(azurerm_role_definition.versions) == 1 && length(azurerm_role_definition.versions[0].assignable_scopes) == 2 && contains(azurerm_role_definition.versions[0].assignable_scopes, azurerm_role_definition.versions[0].scope)
    error_message = "There is one role. Its scopes name each resource group once, in one case."
  }
  assert {
    condition     = toset(keys(azurerm_role_assignment.dead_letter)) == toset(keys(var.vaults)) && length(azurerm_key_vault_access_policy.versions) == 0
    error_message = "Each topic writes dead letters, and no vault gets an access policy."
  }
  assert {
    condition     = toset(keys(azurerm_monitor_diagnostic_setting.this)) == toset(["app", "store", "topic/shop", "topic/bank", "topic/bank-2", "vault/shop", "vault/bank", "vault/bank-2"])
    error_message = "The audit log of each vault and the deliveries of each topic are on record."
  }
  assert {
    condition     = length(azurerm_monitor_metric_alert.dead_letter) == 6 && alltrue([for alert in azurerm_monitor_metric_alert.dead_letter : length(alert.scopes) == 1])
    error_message = "Events that are lost have an alert in each topic: a metric alert covers one region."
  }
  assert {
    condition     = toset(keys(output.system_topic_ids)) == toset(keys(var.vaults)) && output.system_topic_id == null
    error_message = "The topics are outputs by the keys of the vaults."
  }
}

# Guards a vault that has a topic already: Azure refuses a second one. The other vaults get theirs.
run "existing_topic" {
  command = apply

  variables {
    vaults = {
      shop = {
        id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-shop"
        location = "northeurope"
        topic = {
          id           = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/events/providers/Microsoft.EventGrid/systemTopics/of-the-vault"
          principal_id = "00000000-0000-0000-0000-000000000011"
        }
      }
      bank = {
        id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/bank/providers/Microsoft.KeyVault/vaults/contoso-bank"
        location = "westeurope"
      }
    }
  }

  assert {
    condition     = toset(keys(azurerm_eventgrid_system_topic.this)) == toset(["bank"])
    error_message = "A vault has one topic."
  }
  assert {
    condition     = azurerm_eventgrid_system_topic_event_subscription.this["shop"].system_topic == "of-the-vault" && azurerm_eventgrid_system_topic_event_subscription.this["shop"].resource_group_name == "events"
    error_message = "The subscription is at the existing topic."
  }
  assert {
    condition     = azurerm_role_assignment.dead_letter["shop"].principal_id == "00000000-0000-0000-0000-000000000011" && azurerm_role_assignment.dead_letter["bank"].principal_id == "00000000-0000-0000-0000-00000000000e"
    error_message = "The identity of each topic writes its dead letters."
  }
}

# Guards vaults with access policies: a role has no effect there, and a policy with `Get` would show values.
run "access_policies" {
  command = apply

  variables {
    vaults = {
      old = {
        id              = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/old/providers/Microsoft.KeyVault/vaults/contoso-old"
        location        = "westeurope"
        access_policies = true
      }
      new = {
        id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/new/providers/Microsoft.KeyVault/vaults/contoso-new"
        location = "westeurope"
      }
    }
  }

  assert {
    condition     = toset(keys(azurerm_key_vault_access_policy.versions)) == toset(["old"]) && azurerm_key_vault_access_policy.versions["old"].key_vault_id == var.vaults.old.id && azurerm_key_vault_access_policy.versions["old"].object_id == "00000000-0000-0000-0000-00000000000d"
    error_message = "keyrelay's identity gets an access policy in that vault only."
  }
  assert {
    condition     = toset(azurerm_key_vault_access_policy.versions["old"].secret_permissions) == toset(["List"]) && azurerm_key_vault_access_policy.versions["old"].key_permissions == null && azurerm_key_vault_access_policy.versions["old"].certificate_permissions == null && azurerm_key_vault_access_policy.versions["old"].storage_permissions == null
    error_message = "The policy lists secrets, and reads no value."
  }
  assert {
    condition     = toset(keys(azurerm_role_assignment.versions)) == toset(["new"]) && toset(azurerm_role_definition.versions[0].assignable_scopes) == toset(["/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/new"])
    error_message = "The role is for the other vault."
  }
}

# Guards an installation in which no vault uses roles: a role without a scope cannot exist.
run "access_policies_only" {
  command = apply

  variables {
    vaults = null
    vault = {
      id              = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/old/providers/Microsoft.KeyVault/vaults/contoso-old"
      location        = "westeurope"
      access_policies = true
    }
  }

  assert {
    condition     = length(azurerm_role_definition.versions) == 0 && length(azurerm_role_assignment.versions) == 0 && length(azurerm_key_vault_access_policy.versions) == 1
    error_message = "No role is needed."
  }
}

# Guards a vault in another subscription: its topic has to be in that subscription, which this provider cannot reach.
run "another_subscription" {
  command = apply

  variables {
    vaults = {
      shop = {
        id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-shop"
        location = "westeurope"
      }
      far = {
        id        = "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/far/providers/Microsoft.KeyVault/vaults/contoso-far"
        location  = "westeurope"
        subscribe = false
      }
    }
  }

  assert {
    condition     = toset(concat(keys(azurerm_eventgrid_system_topic.this), keys(azurerm_eventgrid_system_topic_event_subscription.this), keys(azurerm_role_assignment.dead_letter))) == toset(["shop"])
    error_message = "The topic, the subscription and the right to write dead letters are the caller's."
  }
  assert {
    condition     = azurerm_role_assignment.versions["far"].scope == var.vaults.far.id && contains(azurerm_role_definition.versions[0].assignable_scopes, "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/far")
    error_message = "keyrelay lists versions there."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_VAULTS"] == "contoso-far,contoso-shop"
    error_message = "keyrelay takes its events."
  }
  assert {
    condition     = endswith(output.function_id, "/functions/SecretEvent") && endswith(output.storage_account_id, "/storageAccounts/mocked") && output.dead_letter_id == azurerm_storage_container.dead_letter.id
    error_message = "The caller's subscription needs to know the function and the container."
  }
}
