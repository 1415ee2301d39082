# The example app: every ten seconds it sends a line to the Application Insights that its setting names.

resource "azurerm_storage_account" "timer" {
  #checkov:skip=CKV_AZURE_33:Queues are not used.
  #checkov:skip=CKV_AZURE_59:A demonstration that is thrown away: reached from anywhere, with Entra tokens only.
  #checkov:skip=CKV_AZURE_206:As above.
  #checkov:skip=CKV2_AZURE_1:As above.
  #checkov:skip=CKV2_AZURE_33:As above.
  #checkov:skip=CKV2_AZURE_38:As above.
  #checkov:skip=CKV2_AZURE_40:Shared keys are off.
  #checkov:skip=CKV2_AZURE_41:There are no keys, so there are no signatures to expire.
  name                            = "${var.name}timer${substr(sha256(azurerm_resource_group.this.id), 0, 7)}"
  resource_group_name             = azurerm_resource_group.this.name
  location                        = var.location
  account_tier                    = "Standard"
  account_replication_type        = "LRS"
  min_tls_version                 = "TLS1_2"
  shared_access_key_enabled       = false
  default_to_oauth_authentication = true
  allow_nested_items_to_be_public = false
  local_user_enabled              = false
}

resource "azurerm_service_plan" "timer" {
  #checkov:skip=CKV_AZURE_211:A demonstration: the smallest plan that will do.
  #checkov:skip=CKV_AZURE_212:As above.
  #checkov:skip=CKV_AZURE_225:As above.
  name                = "${var.name}-timer"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  os_type             = "Linux"
  sku_name            = "B1"
}

resource "azurerm_linux_function_app" "timer" {
  #checkov:skip=CKV_AZURE_221:A demonstration: its code is deployed from anywhere, with Entra tokens only.
  name                          = "${var.name}-timer"
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.location
  service_plan_id               = azurerm_service_plan.timer.id
  storage_account_name          = azurerm_storage_account.timer.name
  storage_uses_managed_identity = true
  https_only                    = true

  webdeploy_publish_basic_authentication_enabled = false
  ftp_publish_basic_authentication_enabled       = false

  identity {
    type = "SystemAssigned"
  }

  site_config {
    always_on           = true
    minimum_tls_version = "1.2"
    ftps_state          = "Disabled"
    http2_enabled       = true

    application_stack {
      node_version = "22"
    }
  }

  app_settings = {
    SINK = "@Microsoft.KeyVault(VaultName=${azurerm_key_vault.this.name};SecretName=sink)"
  }

  # keyrelay may write references. Without this, every `terraform apply` would revert the rotation.
  lifecycle {
    ignore_changes = [app_settings]
  }
}

resource "azurerm_role_assignment" "timer_storage" {
  scope                = azurerm_storage_account.timer.id
  role_definition_name = "Storage Blob Data Owner"
  principal_id         = azurerm_linux_function_app.timer.identity[0].principal_id
}

# The app reads the secret itself; keyrelay never does.
resource "azurerm_role_assignment" "timer_secret" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_linux_function_app.timer.identity[0].principal_id
}
