# What keyrelay may do to apps. Each action is there because of one call, which the comment names.
locals {
  read_actions = [
    # GET .../providers/Microsoft.Web/sites: the apps of a scope.
    "Microsoft.Web/sites/Read",
    # GET {site}/slots.
    "Microsoft.Web/sites/slots/Read",
    # GET {site}/config/configreferences/appsettings[/{name}]: references and their status, without plain text. By its path
    # it is of the type `sites/config/appsettings`, whose read action is the second; which one Azure checks is not
    # documented. Both are in Reader, too, which shows no setting's value.
    "Microsoft.Web/sites/config/Read",
    "Microsoft.Web/sites/config/appsettings/Read",
    "Microsoft.Web/sites/slots/config/Read",
    "Microsoft.Web/sites/slots/config/appsettings/Read",
    # GET {site}/providers/Microsoft.Authorization/permissions: `keyrelay doctor` asks what it may do.
    "Microsoft.Authorization/permissions/read",
  ]

  # POST {site}/config/configreferences/appsettings/refresh. Which action Azure checks for it is not documented: these
  # are all POST calls below `config`, without those that show plain text, which are taken away below.
  refresh_actions = [
    "Microsoft.Web/sites/config/*/action",
    "Microsoft.Web/sites/slots/config/*/action",
  ]

  # What shows plain text: settings, and settings as they were.
  plain_text_actions = [
    "Microsoft.Web/sites/config/list/Action",
    "Microsoft.Web/sites/slots/config/list/Action",
    "Microsoft.Web/sites/config/snapshots/listsecrets/action",
    "Microsoft.Web/sites/slots/config/snapshots/listsecrets/action",
  ]

  patch_actions = [
    # POST {site}/config/appsettings/list: settings can only be written whole, so they have to be read whole. The action is
    # one for all of `config`, publishing credentials included: they deploy code where basic authentication is on. keyrelay
    # never asks for them; turn `webdeploy_publish_basic_authentication_enabled` off, and they are worth nothing.
    "Microsoft.Web/sites/config/list/Action",
    "Microsoft.Web/sites/slots/config/list/Action",
    # PUT {site}/config/appsettings. One action for all of `config`, too.
    "Microsoft.Web/sites/config/Write",
    "Microsoft.Web/sites/slots/config/Write",
  ]

  # Azure keeps a custom role in a subscription or a resource group, never in a resource.
  vault_group = join("/", slice(split("/", var.vault.id), 0, 5))
}

resource "azurerm_role_definition" "refresh" {
  count = var.permissions == "refresh" ? 1 : 0

  name              = "keyrelay refresh (${var.name})"
  description       = "Reads the status of Key Vault references and has them resolved again. Sees no setting's value, writes none."
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
  description       = "Reads and writes app settings, and has Key Vault references resolved again. Deploys no code, reads no secret."
  scope             = sort(var.scopes)[0]
  assignable_scopes = var.scopes

  permissions {
    actions = concat(local.read_actions, local.refresh_actions, local.patch_actions)
    # Settings are read to be written; nobody needs those of earlier times.
    not_actions = setsubtract(local.plain_text_actions, local.patch_actions)
  }
}

# What keyrelay may do in the vault: see which versions there are, and which is enabled. Not one value.
resource "azurerm_role_definition" "versions" {
  name              = "keyrelay versions (${var.name})"
  description       = "Lists the versions of secrets with their attributes, without their values."
  scope             = local.vault_group
  assignable_scopes = [local.vault_group]

  permissions {
    # GET {vault}/secrets/{name}/versions.
    data_actions = ["Microsoft.KeyVault/vaults/secrets/readMetadata/action"]
  }
}

resource "azurerm_role_assignment" "apps" {
  for_each = var.scopes

  scope              = each.value
  role_definition_id = one(concat(azurerm_role_definition.refresh, azurerm_role_definition.patch)).role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.this.principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_role_assignment" "versions" {
  scope              = var.vault.id
  role_definition_id = azurerm_role_definition.versions.role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.this.principal_id
  principal_type     = "ServicePrincipal"
}

# The Functions host keeps its locks, its keys and the timer's state in containers that it makes itself, and reads the
# package; this is the role that Microsoft names for `AzureWebJobsStorage`, on the whole account. keyrelay itself would do with
# Storage Blob Data Contributor on the container `keyrelay`, which this one contains: a second assignment would add nothing.
# Whoever is this identity could replace the package: that is why nobody else gets it.
resource "azurerm_role_assignment" "storage" {
  scope                = azurerm_storage_account.this.id
  role_definition_name = "Storage Blob Data Owner"
  principal_id         = azurerm_user_assigned_identity.this.principal_id
  principal_type       = "ServicePrincipal"
}

# Event Grid puts events there that could not be delivered.
resource "azurerm_role_assignment" "dead_letter" {
  scope                = azurerm_storage_container.dead_letter.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = local.topic.principal_id
  principal_type       = "ServicePrincipal"
}
