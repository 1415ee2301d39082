# Several identities: Azure counts requests for each of them.

mock_provider "azurerm" {
  source = "./tests/mocks"

  override_during = plan
}

# Each identity has ids of its own, so that a test sees who got a role.
override_resource {
  target          = azurerm_user_assigned_identity.this
  override_during = plan
  values = {
    id           = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.ManagedIdentity/userAssignedIdentities/host"
    client_id    = "00000000-0000-0000-0000-0000000000c0"
    principal_id = "00000000-0000-0000-0000-0000000000d0"
  }
}
override_resource {
  target          = azurerm_user_assigned_identity.client["#1"]
  override_during = plan
  values = {
    id           = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.ManagedIdentity/userAssignedIdentities/first"
    client_id    = "00000000-0000-0000-0000-0000000000c1"
    principal_id = "00000000-0000-0000-0000-0000000000d1"
  }
}
override_resource {
  target          = azurerm_user_assigned_identity.client["#2"]
  override_during = plan
  values = {
    id           = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.ManagedIdentity/userAssignedIdentities/second"
    client_id    = "00000000-0000-0000-0000-0000000000c2"
    principal_id = "00000000-0000-0000-0000-0000000000d2"
  }
}

variables {
  name                = "contoso-keyrelay"
  resource_group_name = "keyrelay"
  location            = "westeurope"
  scopes = [
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop",
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/bank",
  ]
  vaults = {
    shop = {
      id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-shop"
      location = "westeurope"
    }
    old = {
      id              = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/bank/providers/Microsoft.KeyVault/vaults/contoso-old"
      location        = "westeurope"
      access_policies = true
    }
  }
}

# Guards the default: the addresses of the role assignments are those from before there were several identities.
run "no_identities" {
  command = plan

  assert {
    condition     = length(azurerm_user_assigned_identity.client) == 0 && azurerm_function_app_flex_consumption.this.identity[0].identity_ids == toset([azurerm_user_assigned_identity.this.id])
    error_message = "The app has one identity."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_CLIENT_ID"] == "00000000-0000-0000-0000-0000000000c0" && !contains(keys(azurerm_function_app_flex_consumption.this.app_settings), "KEYRELAY_CLIENT_IDS")
    error_message = "keyrelay uses the identity of the Functions host."
  }
  assert {
    condition     = toset(keys(azurerm_role_assignment.apps)) == var.scopes && toset(keys(azurerm_role_assignment.versions)) == toset(["shop"]) && toset(keys(azurerm_key_vault_access_policy.versions)) == toset(["old"]) && length(azurerm_role_assignment.store) == 0
    error_message = "No role assignment moves."
  }
}

# Guards two identities: which of them has which right, and in which order the setting names them.
run "two_identities" {
  command = plan

  variables {
    identities = 2
    audit_workspace = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/logs/providers/Microsoft.OperationalInsights/workspaces/audit"
      workspace_id = "00000000-0000-0000-0000-000000000013"
    }
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_CLIENT_IDS"] == "00000000-0000-0000-0000-0000000000c1,00000000-0000-0000-0000-0000000000c2" && !contains(keys(azurerm_function_app_flex_consumption.this.app_settings), "KEYRELAY_CLIENT_ID")
    error_message = "keyrelay uses these identities, and not that of the Functions host."
  }
  assert {
    condition = { for key, assignment in azurerm_role_assignment.apps : key => "${assignment.scope} ${assignment.principal_id}" } == merge([
      for scope in var.scopes : { for number in [1, 2] : "${scope}#${number}" => "${scope} 00000000-0000-0000-0000-0000000000d${number}" }
    ]...)
    error_message = "Each identity has the role on each scope, and the Functions host has none."
  }
  assert {
    condition     = { for key, assignment in azurerm_role_assignment.versions : key => assignment.principal_id } == { "shop#1" = "00000000-0000-0000-0000-0000000000d1", "shop#2" = "00000000-0000-0000-0000-0000000000d2" }
    error_message = "Each identity lists versions in the vault with roles."
  }
  assert {
    condition     = { for key, policy in azurerm_key_vault_access_policy.versions : key => policy.object_id } == { "old#1" = "00000000-0000-0000-0000-0000000000d1", "old#2" = "00000000-0000-0000-0000-0000000000d2" } && alltrue([for policy in azurerm_key_vault_access_policy.versions : toset(policy.secret_permissions) == toset(["List"])])
    error_message = "Each identity lists versions in the vault with access policies."
  }
  assert {
    condition     = azurerm_role_assignment.audit[*].principal_id == ["00000000-0000-0000-0000-0000000000d1", "00000000-0000-0000-0000-0000000000d2"]
    error_message = "Each identity reads the audit log."
  }
  assert {
    condition     = azurerm_role_assignment.store[0].principal_id == "00000000-0000-0000-0000-0000000000d1" && azurerm_role_assignment.store[0].role_definition_name == "Storage Blob Data Contributor"
    error_message = "The first identity reads and writes the store."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.identity[0].identity_ids == toset([azurerm_user_assigned_identity.this.id, azurerm_user_assigned_identity.client["#1"].id, azurerm_user_assigned_identity.client["#2"].id])
    error_message = "The app has the tokens of all of them."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["AzureWebJobsStorage__clientId"] == "00000000-0000-0000-0000-0000000000c0" && azurerm_role_assignment.storage.principal_id == "00000000-0000-0000-0000-0000000000d0" && azurerm_function_app_flex_consumption.this.storage_user_assigned_identity_id == azurerm_user_assigned_identity.this.id
    error_message = "The Functions host keeps its own identity: only that one can replace the package."
  }
}

# Guards the numbers: roles for each identity, all of them on the app, and names that sort as Azure shows them.
run "four_identities" {
  command = plan

  variables {
    identities = 4
  }

  assert {
    condition     = sort([for identity in azurerm_user_assigned_identity.client : identity.name]) == tolist(["contoso-keyrelay-1", "contoso-keyrelay-2", "contoso-keyrelay-3", "contoso-keyrelay-4"])
    error_message = "Four identities are named after the app."
  }
  assert {
    condition     = length(azurerm_role_assignment.apps) == 8 && length(azurerm_role_assignment.versions) == 4 && length(azurerm_key_vault_access_policy.versions) == 4 && length(azurerm_role_assignment.store) == 1
    error_message = "Each of them has each right."
  }
  assert {
    condition     = length(split(",", azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_CLIENT_IDS"])) == 4 && length(output.identity_principal_ids) == 4
    error_message = "All of them are in the setting."
  }
}

# Guards the order: as text, 10 comes before 2, and the first one is the one that has the store.
run "ten_identities" {
  command = plan

  variables {
    identities = 10
  }

  assert {
    condition     = startswith(azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_CLIENT_IDS"], "00000000-0000-0000-0000-0000000000c1,00000000-0000-0000-0000-0000000000c2,") && azurerm_role_assignment.store[0].principal_id == "00000000-0000-0000-0000-0000000000d1"
    error_message = "The first identity comes first, and the second one second."
  }
}
