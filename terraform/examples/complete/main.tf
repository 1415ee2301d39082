# The complete demonstration: an app that sends telemetry to the Application Insights whose key is in a vault, and
# keyrelay, which moves the app to the other one when the secret changes.

terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.55, < 6.0"
    }
  }
}

provider "azurerm" {
  subscription_id = var.subscription_id
  # Storage accounts have no keys, so Terraform itself signs in to them.
  storage_use_azuread = true

  features {
    # Azure adds its own alert rules to each Application Insights. They must not keep the group from being deleted.
    resource_group {
      prevent_deletion_if_contains_resources = false
    }
  }
}

variable "subscription_id" {
  description = "The subscription that everything is made in."
  type        = string
  nullable    = false
}

variable "location" {
  description = "The region that everything is made in."
  type        = string
  default     = "westeurope"
  nullable    = false
}

variable "name" {
  description = "What the names of everything begin with; unique in Azure, 3 to 12 lower-case letters and digits."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{2,11}$", var.name))
    error_message = "Use 3 to 12 lower-case letters and digits, beginning with a letter."
  }
}

data "azurerm_client_config" "current" {}

resource "azurerm_resource_group" "this" {
  name     = "${var.name}-keyrelay"
  location = var.location
}

# The two destinations between which the secret alternates.
resource "azurerm_application_insights" "sink" {
  for_each = toset(["first", "second"])

  name                = "${var.name}-${each.value}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  application_type    = "web"
  workspace_id        = module.keyrelay.log_analytics_workspace_id
}

resource "azurerm_key_vault" "this" {
  #checkov:skip=CKV_AZURE_109:A demonstration that is thrown away: reached from anywhere, with Entra tokens only.
  #checkov:skip=CKV_AZURE_189:As above.
  #checkov:skip=CKV2_AZURE_32:As above.
  #checkov:skip=CKV_AZURE_110:As above: purge protection would keep its name for a week.
  #checkov:skip=CKV_AZURE_42:As above.
  name                       = "${var.name}-vault"
  resource_group_name        = azurerm_resource_group.this.name
  location                   = var.location
  tenant_id                  = data.azurerm_client_config.current.tenant_id
  sku_name                   = "standard"
  rbac_authorization_enabled = true
  soft_delete_retention_days = 7
}

# The current user sets the secret with `rotate.sh`, so that Terraform's state contains no secret.
resource "azurerm_role_assignment" "officer" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Secrets Officer"
  principal_id         = data.azurerm_client_config.current.object_id
}

# The current user reads the runs with `keyrelay runs`.
resource "azurerm_role_assignment" "reader" {
  scope                = module.keyrelay.store_id
  role_definition_name = "Storage Blob Data Reader"
  principal_id         = data.azurerm_client_config.current.object_id
}

module "keyrelay" {
  source = "../.."

  name                = "${var.name}-keyrelay"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  vaults              = { demo = { id = azurerm_key_vault.this.id, location = var.location } }
  scopes              = [azurerm_resource_group.this.id]
}

output "function_app_name" {
  description = "keyrelay's function app, for `deploy.sh`."
  value       = module.keyrelay.function_app_name
}

output "resource_group_name" {
  description = "The resource group that everything is in, for `deploy.sh`."
  value       = azurerm_resource_group.this.name
}

output "timer_app_name" {
  description = "The app that reads the secret."
  value       = azurerm_linux_function_app.timer.name
}

output "vault_name" {
  description = "The vault, for `rotate.sh`."
  value       = azurerm_key_vault.this.name
}

output "store_url" {
  description = "For `keyrelay runs --store`."
  value       = module.keyrelay.store_url
}
