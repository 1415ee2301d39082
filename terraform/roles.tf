# The actions that keyrelay may perform on apps. The comment of each action names the call that needs it.
locals {
  read_actions = [
    # GET .../providers/Microsoft.Web/sites: the apps in a scope.
    "Microsoft.Web/sites/Read",
    # GET {site}/slots.
    "Microsoft.Web/sites/slots/Read",
    # GET {site}/config/configreferences/appsettings[/{name}] and .../connectionstrings: references and their status, without
    # plain text. The documentation does not say whether Azure checks the action of `sites/config`, or that of
    # `sites/config/appsettings` and `sites/config/connectionstrings`. The last one is not in Azure's list of actions, so a
    # role cannot name it; the pattern covers it. All of them are also in Reader, which shows no setting's value.
    "Microsoft.Web/sites/config/Read",
    "Microsoft.Web/sites/config/*/Read",
    "Microsoft.Web/sites/slots/config/Read",
    "Microsoft.Web/sites/slots/config/*/Read",
    # GET {site}/providers/Microsoft.Authorization/permissions: `keyrelay doctor` checks its rights.
    "Microsoft.Authorization/permissions/read",
  ]

  # POST {site}/config/configreferences/appsettings/refresh. Its action is not documented. These patterns cover all POST
  # calls below `config`; the actions that show plain text are excluded below.
  refresh_actions = [
    "Microsoft.Web/sites/config/*/action",
    "Microsoft.Web/sites/slots/config/*/action",
  ]

  # The actions that show plain text: current settings, and settings in snapshots.
  plain_text_actions = [
    "Microsoft.Web/sites/config/list/Action",
    "Microsoft.Web/sites/slots/config/list/Action",
    "Microsoft.Web/sites/config/snapshots/listsecrets/action",
    "Microsoft.Web/sites/slots/config/snapshots/listsecrets/action",
  ]

  patch_actions = [
    # POST {site}/config/appsettings/list: Azure writes all settings at once, so keyrelay has to read all of them. This one
    # action covers all of `config`, publishing credentials included, which can deploy code where basic authentication is
    # enabled. keyrelay never requests them. With `webdeploy_publish_basic_authentication_enabled = false` they are useless.
    "Microsoft.Web/sites/config/list/Action",
    "Microsoft.Web/sites/slots/config/list/Action",
    # PUT {site}/config/appsettings. This action also covers all of `config`, the start command (`appCommandLine`) included:
    # it is enough to run code in the app. keyrelay writes app settings only.
    "Microsoft.Web/sites/config/Write",
    "Microsoft.Web/sites/slots/config/Write",
  ]

  role_vaults   = { for key, vault in local.vaults : key => vault if !vault.access_policies }
  policy_vaults = { for key, vault in local.vaults : key => vault if vault.access_policies }

  # The scope of a custom role is a subscription or a resource group, never a resource. Ids compare without case.
  vault_groups = [
    for groups in values({ for vault in local.role_vaults : lower(join("/", slice(split("/", vault.id), 0, 5))) => join("/", slice(split("/", vault.id), 0, 5))... }) :
    groups[0]
  ]
}

resource "azurerm_role_definition" "refresh" {
  count = var.permissions == "refresh" ? 1 : 0

  name              = "keyrelay refresh (${var.name})"
  description       = "Reads the site's configuration without the values of settings, and refreshes Key Vault references. Has no action that changes the configuration."
  scope             = sort(var.scopes)[0]
  assignable_scopes = var.scopes

  permissions {
    actions     = concat(local.read_actions, local.refresh_actions)
    not_actions = local.plain_text_actions
  }
}

resource "azurerm_role_definition" "patch" {
  count = var.permissions == "patch" ? 1 : 0

  name              = "keyrelay patch (${var.name})"
  description       = "Can change the site's configuration, start command included, and so run code with the identity of the app. Reads all settings in plain text, publishing credentials included, and refreshes Key Vault references. Reads no secret in a vault."
  scope             = sort(var.scopes)[0]
  assignable_scopes = var.scopes

  permissions {
    actions = concat(local.read_actions, local.refresh_actions, local.patch_actions)
    # Settings are read in order to write them. Snapshots of earlier settings are never needed.
    not_actions = setsubtract(local.plain_text_actions, local.patch_actions)
  }
}

# The right to list the versions of a secret with their attributes, and no value.
resource "azurerm_role_definition" "versions" {
  count = length(local.role_vaults) > 0 ? 1 : 0

  name              = "keyrelay versions (${var.name})"
  description       = "Lists the versions of secrets with their attributes, without their values."
  scope             = local.vault_groups[0]
  assignable_scopes = local.vault_groups

  permissions {
    # GET {vault}/secrets/{name}/versions.
    data_actions = ["Microsoft.KeyVault/vaults/secrets/readMetadata/action"]
  }
}

# Each role is assigned to each identity with which keyrelay sends its requests.
locals {
  app_assignments = merge([
    for key, principal in local.principals : { for scope in var.scopes : "${scope}${key}" => { scope = scope, principal = principal } }
  ]...)
  version_assignments = merge([
    for key, principal in local.principals : { for name, vault in local.role_vaults : "${name}${key}" => { vault = vault.id, principal = principal } }
  ]...)
  version_policies = merge([
    for key, principal in local.principals : { for name, vault in local.policy_vaults : "${name}${key}" => { vault = vault.id, principal = principal } }
  ]...)
}

resource "azurerm_role_assignment" "apps" {
  for_each = local.app_assignments

  scope              = each.value.scope
  role_definition_id = one(concat(azurerm_role_definition.refresh, azurerm_role_definition.patch)).role_definition_resource_id
  principal_id       = each.value.principal
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "versions" {
  for_each = local.version_assignments

  scope              = each.value.vault
  role_definition_id = azurerm_role_definition.versions[0].role_definition_resource_id
  principal_id       = each.value.principal
  principal_type     = "ServicePrincipal"
}

# The same right in a vault that uses access policies: `List` shows names, versions and attributes. `Get` would show values.
resource "azurerm_key_vault_access_policy" "versions" {
  for_each = local.version_policies

  key_vault_id       = each.value.vault
  tenant_id          = azurerm_user_assigned_identity.this.tenant_id
  object_id          = each.value.principal
  secret_permissions = ["List"]
}

# The right to query the audit logs of the vaults: `Microsoft.OperationalInsights/workspaces/query/read`, and the data of the
# tables. It covers all tables of the workspace.
resource "azurerm_role_assignment" "audit" {
  count = var.audit_workspace == null ? 0 : length(local.clients)

  scope                = var.audit_workspace.id
  role_definition_name = "Log Analytics Data Reader"
  principal_id         = local.clients[count.index].principal_id
  principal_type       = "ServicePrincipal"
}

# The Functions host creates containers for its locks, its keys and the timer's state, and reads the package. Microsoft
# names this role for `AzureWebJobsStorage`, on the whole account. It includes what keyrelay itself needs, so a second
# assignment for this identity would add nothing.
# This identity can replace the package, so do not assign it to anything else.
resource "azurerm_role_assignment" "storage" {
  scope                = azurerm_storage_account.this.id
  role_definition_name = "Storage Blob Data Owner"
  principal_id         = azurerm_user_assigned_identity.this.principal_id
  principal_type       = "ServicePrincipal"
}

# keyrelay's store, for the first of several identities: keyrelay uses no other one there.
resource "azurerm_role_assignment" "store" {
  count = var.identities == 0 ? 0 : 1

  scope                = azurerm_storage_container.store.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = local.clients[0].principal_id
  principal_type       = "ServicePrincipal"
}

# Event Grid writes events there that it could not deliver.
resource "azurerm_role_assignment" "dead_letter" {
  for_each = local.topics

  scope                = azurerm_storage_container.dead_letter.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = each.value.principal_id
  principal_type       = "ServicePrincipal"
}
