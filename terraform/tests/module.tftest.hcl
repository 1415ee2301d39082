# With a mocked provider: nothing is made, and nobody has to sign in.

mock_provider "azurerm" {
  source = "./tests/mocks"
}

variables {
  name                = "contoso-keyrelay"
  resource_group_name = "keyrelay"
  location            = "westeurope"
  vault = {
    id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv"
    location = "northeurope"
  }
  scopes = ["/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop"]
}

# Guards the promise that what is named in the README is enough.
run "defaults" {
  command = apply

  assert {
    condition     = azurerm_function_app_flex_consumption.this.runtime_name == "custom" && azurerm_function_app_flex_consumption.this.runtime_version == "1.0"
    error_message = "Azure accepts another runtime version, and the app never starts."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_SCOPE"] == "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop"
    error_message = "keyrelay looks for apps where it has its role."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_VAULTS"] == "contoso-kv"
    error_message = "keyrelay takes events of the vault that was named."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_OWN_APP"] == "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.Web/sites/contoso-keyrelay"
    error_message = "keyrelay must know its own app, which it never changes: Flex Consumption does not tell its resource group."
  }
  assert {
    condition     = length(azurerm_role_assignment.audit) == 0 && !contains(keys(azurerm_function_app_flex_consumption.this.app_settings), "KEYRELAY_AUDIT")
    error_message = "The audit log is read only where a workspace was named."
  }
  assert {
    condition     = !contains(keys(azurerm_function_app_flex_consumption.this.app_settings), "AzureWebJobsStorage")
    error_message = "An AzureWebJobsStorage of ours, even an empty one, breaks the host's identity-based connection."
  }
  assert {
    condition     = length(setintersection(keys(azurerm_function_app_flex_consumption.this.app_settings), ["FUNCTIONS_WORKER_RUNTIME", "FUNCTIONS_EXTENSION_VERSION", "WEBSITE_RUN_FROM_PACKAGE"])) == 0
    error_message = "These are refused on Flex Consumption."
  }
  assert {
    condition     = !azurerm_storage_account.this.shared_access_key_enabled && !azurerm_storage_account.this.allow_nested_items_to_be_public && azurerm_storage_account.this.min_tls_version == "TLS1_2" && azurerm_storage_account.this.infrastructure_encryption_enabled
    error_message = "There are no keys to the storage account, nothing in it is public, and it is encrypted twice."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["AzureFunctionsJobHost__logging__applicationInsights__samplingSettings__isEnabled"] == "false"
    error_message = "The Functions host leaves log lines out when many come at once, and alerts are made of them."
  }
  assert {
    condition     = toset(keys(azurerm_monitor_diagnostic_setting.this)) == toset(["app", "store", "topic/vault", "vault/vault"])
    error_message = "Who has read a secret, what was delivered and what was stored is on record."
  }
  assert {
    condition     = length(azurerm_storage_account.this.name) <= 24 && can(regex("^[a-z0-9]+$", azurerm_storage_account.this.name))
    error_message = "Storage accounts have up to 24 letters and digits."
  }
  assert {
    condition     = azurerm_eventgrid_system_topic.this["vault"].location == "northeurope" && azurerm_eventgrid_system_topic.this["vault"].topic_type == "Microsoft.KeyVault.vaults"
    error_message = "A system topic is in the region of its vault, not in ours."
  }
  assert {
    condition     = length(azurerm_eventgrid_system_topic_event_subscription.this["vault"].included_event_types) == 9
    error_message = "All nine kinds of events are delivered."
  }
  assert {
    condition     = endswith(azurerm_eventgrid_system_topic_event_subscription.this["vault"].azure_function_endpoint[0].function_id, "/functions/SecretEvent")
    error_message = "The name of the function is the name of its folder in the package."
  }
  assert {
    condition     = azurerm_eventgrid_system_topic_event_subscription.this["vault"].azure_function_endpoint[0].max_events_per_batch == 1
    error_message = "In a batch, one event that fails has all delivered again."
  }
  assert {
    condition     = azurerm_eventgrid_system_topic_event_subscription.this["vault"].storage_blob_dead_letter_destination[0].storage_blob_container_name == "dead-letter"
    error_message = "An event that cannot be delivered is kept."
  }
}

# Guards against rights that nobody notices: the lists of the roles, as they are.
run "patch_role" {
  command = apply

  assert {
    condition = sort([for action in azurerm_role_definition.patch[0].permissions[0].actions : lower(action)]) == sort([
      "microsoft.authorization/permissions/read",
      "microsoft.web/sites/config/*/action",
      "microsoft.web/sites/config/*/read",
      "microsoft.web/sites/config/list/action",
      "microsoft.web/sites/config/read",
      "microsoft.web/sites/config/write",
      "microsoft.web/sites/read",
      "microsoft.web/sites/slots/config/*/action",
      "microsoft.web/sites/slots/config/*/read",
      "microsoft.web/sites/slots/config/list/action",
      "microsoft.web/sites/slots/config/read",
      "microsoft.web/sites/slots/config/write",
      "microsoft.web/sites/slots/read",
    ])
    error_message = "The role that may patch has other actions."
  }
  # The portal shows the description where the role is assigned.
  assert {
    condition     = contains(azurerm_role_definition.patch[0].permissions[0].actions, "Microsoft.Web/sites/config/Write") && strcontains(azurerm_role_definition.patch[0].description, "Can change the site's configuration, start command included")
    error_message = "The description does not say what the role allows."
  }
  assert {
    condition     = toset([for action in azurerm_role_definition.patch[0].permissions[0].not_actions : lower(action)]) == toset(["microsoft.web/sites/config/snapshots/listsecrets/action", "microsoft.web/sites/slots/config/snapshots/listsecrets/action"])
    error_message = "The wildcard for refresh must not let the settings of earlier times through."
  }
  assert {
    condition     = azurerm_role_definition.versions[0].permissions[0].data_actions == toset(["Microsoft.KeyVault/vaults/secrets/readMetadata/action"])
    error_message = "In the vault, keyrelay sees versions and nothing else."
  }
  assert {
    condition     = length(azurerm_role_definition.refresh) == 0
    error_message = "There is one role for apps."
  }
  assert {
    condition     = alltrue([for assignment in azurerm_role_assignment.apps : assignment.principal_id == "00000000-0000-0000-0000-00000000000d"])
    error_message = "The role is given to keyrelay's identity."
  }
}

# Guards "refresh only": no setting is seen, none is written.
run "refresh_role" {
  command = apply

  variables {
    permissions = "refresh"
  }

  assert {
    condition     = length(azurerm_role_definition.patch) == 0
    error_message = "There is one role for apps."
  }
  assert {
    condition     = alltrue([for action in azurerm_role_definition.refresh[0].permissions[0].actions : !endswith(lower(action), "/write") && !endswith(lower(action), "/list/action") && action != "*"])
    error_message = "Who may refresh may not write, or see plain text."
  }
  assert {
    condition     = toset([for action in azurerm_role_definition.refresh[0].permissions[0].not_actions : lower(action)]) == toset(["microsoft.web/sites/config/list/action", "microsoft.web/sites/slots/config/list/action", "microsoft.web/sites/config/snapshots/listsecrets/action", "microsoft.web/sites/slots/config/snapshots/listsecrets/action"])
    error_message = "The wildcard for refresh must not let plain text through."
  }
}

# Guards against a pattern that allows more than its author thought of: none of these roles may ever allow these actions, with
# patterns matched as Azure matches them.
run "roles_deploy_nothing" {
  command = apply

  assert {
    condition = alltrue([
      for forbidden in [
        "microsoft.web/sites/write", "microsoft.web/sites/delete", "microsoft.web/sites/slots/write", "microsoft.web/sites/slots/slotsswap/action",
        "microsoft.web/sites/publish/action", "microsoft.web/sites/publishxml/action", "microsoft.web/sites/slots/publishxml/action",
        "microsoft.web/sites/extensions/write", "microsoft.web/sites/extensions/api/action", "microsoft.web/sites/sourcecontrols/write",
        "microsoft.web/sites/functions/write", "microsoft.web/sites/functions/listsecrets/action", "microsoft.web/sites/functions/listkeys/action",
        "microsoft.web/sites/host/listkeys/action", "microsoft.web/sites/hostruntime/host/action", "microsoft.web/sites/restart/action",
        "microsoft.keyvault/vaults/write", "microsoft.keyvault/vaults/secrets/read", "microsoft.keyvault/vaults/secrets/write",
        "microsoft.authorization/roleassignments/write", "microsoft.authorization/roledefinitions/write",
      ] :
      !anytrue([
        for action in azurerm_role_definition.patch[0].permissions[0].actions :
        can(regex("^${replace(replace(lower(action), ".", "\\."), "*", ".*")}$", forbidden))
      ])
    ])
    error_message = "The wider of both roles deploys nothing, restarts nothing, reads no key and gives no role."
  }
  assert {
    condition     = try(length(azurerm_role_definition.versions[0].permissions[0].actions), 0) == 0 && !anytrue([for action in azurerm_role_definition.versions[0].permissions[0].data_actions : strcontains(lower(action), "getsecret") || strcontains(action, "*")])
    error_message = "No role reads a secret's value."
  }
}

# Guards the first phase: Azure refuses a subscription to a function that is not there.
run "before_the_package" {
  command = apply

  variables {
    subscribe = false
  }

  assert {
    condition     = length(azurerm_eventgrid_system_topic_event_subscription.this) == 0
    error_message = "Nothing is subscribed yet."
  }
}

# Guards a vault that has a topic already, as the Logic App's trigger makes one: Azure refuses a second, with the last resource.
run "topic_that_exists" {
  command = plan

  variables {
    vault = {
      id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv"
      location = "northeurope"
      topic = {
        id           = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/events/providers/Microsoft.EventGrid/systemTopics/of-the-vault"
        principal_id = "00000000-0000-0000-0000-000000000011"
      }
    }
  }

  assert {
    condition     = length(azurerm_eventgrid_system_topic.this) == 0
    error_message = "No second topic is made."
  }
  assert {
    condition     = azurerm_eventgrid_system_topic_event_subscription.this["vault"].system_topic == "of-the-vault" && azurerm_eventgrid_system_topic_event_subscription.this["vault"].resource_group_name == "events"
    error_message = "The subscription is at the topic that there is."
  }
  assert {
    condition     = azurerm_role_assignment.dead_letter["vault"].principal_id == "00000000-0000-0000-0000-000000000011"
    error_message = "Its identity puts away what cannot be delivered."
  }
}

# Guards the filters: they are Event Grid's work, so that what is not wanted costs nothing.
run "filters" {
  command = apply

  variables {
    event_types         = ["Microsoft.KeyVault.SecretNewVersionCreated"]
    subject_begins_with = "sql-"
  }

  assert {
    condition     = azurerm_eventgrid_system_topic_event_subscription.this["vault"].included_event_types == tolist(["Microsoft.KeyVault.SecretNewVersionCreated"])
    error_message = "Only the event types that were named are delivered."
  }
  assert {
    condition     = azurerm_eventgrid_system_topic_event_subscription.this["vault"].subject_filter[0].subject_begins_with == "sql-" && !azurerm_eventgrid_system_topic_event_subscription.this["vault"].subject_filter[0].case_sensitive
    error_message = "Names of secrets compare without case."
  }
}

# Guards the public cloud: there the name of the storage account is all that the Functions host needs.
run "public_cloud" {
  command = apply

  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_CLOUD"] == "public"
    error_message = "The cloud reaches keyrelay."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["AzureWebJobsStorage__accountName"] == azurerm_storage_account.this.name && azurerm_function_app_flex_consumption.this.app_settings["AzureWebJobsStorage__credential"] == "managedidentity"
    error_message = "The Functions host finds its storage account by its name, with the identity."
  }
}

# Guards settings of the user: they win, and remove no others.
run "app_settings" {
  command = apply

  variables {
    app_settings = { KEYRELAY_LOG = "debug", KEYRELAY_MODE = "off" }
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_LOG"] == "debug" && azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_MODE"] == "off"
    error_message = "Settings of one's own win."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_CLIENT_ID"] == "00000000-0000-0000-0000-00000000000c"
    error_message = "The others stay."
  }
}

# Guards several scopes: one assignment each, and one setting with all of them.
run "scopes" {
  command = apply

  variables {
    scopes = ["/subscriptions/00000000-0000-0000-0000-000000000002", "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop"]
  }

  assert {
    condition     = length(azurerm_role_assignment.apps) == 2
    error_message = "Each scope has its assignment."
  }
  assert {
    condition     = length(split(",", azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_SCOPE"])) == 2
    error_message = "Each scope is looked through."
  }
}

# Guards the audit log: the setting has the form of a table in keyrelay.toml, and the role is on that workspace only.
run "audit_log" {
  command = apply

  variables {
    audit_workspace = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/logs/providers/Microsoft.OperationalInsights/workspaces/audit"
      workspace_id = "00000000-0000-0000-0000-000000000013"
    }
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_AUDIT"] == "{ workspace = \"00000000-0000-0000-0000-000000000013\" }"
    error_message = "keyrelay queries the workspace by its GUID."
  }
  assert {
    condition     = azurerm_role_assignment.audit[0].scope == var.audit_workspace.id && azurerm_role_assignment.audit[0].role_definition_name == "Log Analytics Data Reader"
    error_message = "Without the role, every query is denied."
  }
  assert {
    condition     = azurerm_role_assignment.audit[0].principal_id == "00000000-0000-0000-0000-00000000000d"
    error_message = "The role is given to keyrelay's identity."
  }
}
