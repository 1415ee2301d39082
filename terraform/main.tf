locals {
  # The name of a storage account has up to 24 lower-case letters and digits, and is unique in Azure.
  storage_name = "${substr(replace(var.name, "-", ""), 0, 16)}${substr(sha256("${var.resource_group_name}/${var.name}"), 0, 8)}"

  # The id of the function app, as text: the app's own attributes cannot be in its settings. The identity is in the same
  # subscription.
  own_app = "/subscriptions/${element(split("/", azurerm_user_assigned_identity.this.id), 2)}/resourceGroups/${var.resource_group_name}/providers/Microsoft.Web/sites/${var.name}"

  # The identities with which keyrelay sends its requests, in the order of the setting. The key is what tells them apart in
  # the addresses of role assignments: nothing for the identity that is the only one, so that it keeps its assignments.
  client_keys = var.identities == 0 ? [""] : [for number in range(1, var.identities + 1) : "#${number}"]
  clients     = [for key in local.client_keys : key == "" ? azurerm_user_assigned_identity.this : azurerm_user_assigned_identity.client[key]]
  client_settings = var.identities == 0 ? tomap({
    KEYRELAY_CLIENT_ID = local.clients[0].client_id
    }) : tomap({
    KEYRELAY_CLIENT_IDS = join(",", local.clients[*].client_id)
  })
  principals = { for index, key in local.client_keys : key => local.clients[index].principal_id }

  audit_settings = var.audit_workspace == null ? tomap({}) : tomap({
    KEYRELAY_AUDIT = "{ workspace = \"${var.audit_workspace.workspace_id}\" }"
  })

  # The Functions host finds a storage account by name in the public cloud only. In other clouds it needs the URLs.
  storage_settings = var.cloud == "public" ? tomap({
    AzureWebJobsStorage__accountName = azurerm_storage_account.this.name
    }) : tomap({
    AzureWebJobsStorage__blobServiceUri  = trimsuffix(azurerm_storage_account.this.primary_blob_endpoint, "/")
    AzureWebJobsStorage__queueServiceUri = trimsuffix(azurerm_storage_account.this.primary_queue_endpoint, "/")
    AzureWebJobsStorage__tableServiceUri = trimsuffix(azurerm_storage_account.this.primary_table_endpoint, "/")
  })
}

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV_AZURE_33:Queues are not used.
  #checkov:skip=CKV_AZURE_59:The Functions host, Event Grid and `keyrelay runs` reach it over the internet, with Entra tokens only; there are no keys. Restrict it to a network together with the function app.
  #checkov:skip=CKV_AZURE_206:Its contents can be created again: the package by a deployment, leases and pending work from the vault. Zone redundancy is enough.
  #checkov:skip=CKV2_AZURE_1:It contains names, references and digests, and no secret: Microsoft-managed keys are sufficient.
  #checkov:skip=CKV2_AZURE_33:As above: a private endpoint needs a network, which belongs to the caller.
  #checkov:skip=CKV2_AZURE_38:Leases are written many times a minute, and soft delete would keep every state.
  #checkov:skip=CKV2_AZURE_40:Shared keys are disabled.
  #checkov:skip=CKV2_AZURE_41:There are no keys, so there are no SAS tokens to expire.
  name                            = local.storage_name
  resource_group_name             = var.resource_group_name
  location                        = var.location
  account_tier                    = "Standard"
  account_replication_type        = "ZRS"
  min_tls_version                 = "TLS1_2"
  shared_access_key_enabled       = false
  default_to_oauth_authentication = true
  allow_nested_items_to_be_public = false
  local_user_enabled              = false
  # A second layer of encryption, below the service. It can only be enabled when the account is created.
  infrastructure_encryption_enabled = true
  tags                              = var.tags
}

# The store: leases, pending work and the run history.
resource "azurerm_storage_container" "store" {
  #checkov:skip=CKV2_AZURE_21:Reads are logged by the diagnostic setting in monitoring.tf.
  name               = "keyrelay"
  storage_account_id = azurerm_storage_account.this.id
}

# The deployment package of Flex Consumption.
resource "azurerm_storage_container" "package" {
  #checkov:skip=CKV2_AZURE_21:Reads are logged by the diagnostic setting in monitoring.tf.
  name               = "package"
  storage_account_id = azurerm_storage_account.this.id
}

# Events that could not be delivered for a day.
resource "azurerm_storage_container" "dead_letter" {
  #checkov:skip=CKV2_AZURE_21:Reads are logged by the diagnostic setting in monitoring.tf.
  name               = "dead-letter"
  storage_account_id = azurerm_storage_account.this.id
}

# A user-assigned identity: its roles exist before the app does, and outlive it. It is that of the Functions host, and
# that of keyrelay too unless `identities` is set.
resource "azurerm_user_assigned_identity" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_user_assigned_identity" "client" {
  for_each = toset([for key in local.client_keys : key if key != ""])

  name                = "${var.name}-${trimprefix(each.value, "#")}"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_service_plan" "this" {
  #checkov:skip=CKV_AZURE_211:FC1 is the plan that scales to zero, and is intended for production.
  #checkov:skip=CKV_AZURE_212:Flex Consumption has no fixed number of instances.
  #checkov:skip=CKV_AZURE_225:A zone may fail: Event Grid delivers again for a day, and the hourly comparison finds the rest.
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  os_type             = "Linux"
  sku_name            = "FC1"
  tags                = var.tags
}

resource "azurerm_function_app_flex_consumption" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  service_plan_id     = azurerm_service_plan.this.id
  tags                = var.tags

  # A custom handler. Azure accepts other versions too, but they never start.
  runtime_name    = "custom"
  runtime_version = "1.0"

  # The smallest size: keyrelay uses some 14 MB at rest.
  instance_memory_in_mb  = 512
  maximum_instance_count = 40

  storage_container_type            = "blobContainer"
  storage_container_endpoint        = "${azurerm_storage_account.this.primary_blob_endpoint}${azurerm_storage_container.package.name}"
  storage_authentication_type       = "UserAssignedIdentity"
  storage_user_assigned_identity_id = azurerm_user_assigned_identity.this.id

  https_only                                     = true
  webdeploy_publish_basic_authentication_enabled = false
  public_network_access_enabled                  = true # Event Grid delivers from the internet.

  identity {
    type         = "UserAssigned"
    identity_ids = concat([azurerm_user_assigned_identity.this.id], [for client in azurerm_user_assigned_identity.client : client.id])
  }

  site_config {
    application_insights_connection_string = azurerm_application_insights.this.connection_string
    minimum_tls_version                    = "1.2"
    scm_minimum_tls_version                = "1.2"
    http2_enabled                          = true
  }

  # The provider adds a connection string without a key to these. Never set `AzureWebJobsStorage` itself.
  app_settings = merge(local.storage_settings, local.audit_settings, local.client_settings, local.ui_settings, {
    AzureWebJobsStorage__credential = "managedidentity"
    AzureWebJobsStorage__clientId   = azurerm_user_assigned_identity.this.client_id
    KEYRELAY_CLOUD                  = var.cloud
    KEYRELAY_MODE                   = var.mode
    KEYRELAY_OWN_APP                = local.own_app
    KEYRELAY_SCOPE                  = join(",", sort(var.scopes))
    KEYRELAY_VAULTS                 = join(",", sort([for vault in local.vaults : element(split("/", vault.id), 8)]))
    # Sampling would drop log lines, and the alerts that depend on them, when many events arrive at once.
    AzureFunctionsJobHost__logging__applicationInsights__samplingSettings__isEnabled = "false"
  }, var.app_settings)

  # Only with the pages. Event Grid and the portal use keys of the Functions host there, and cannot sign in.
  dynamic "auth_settings_v2" {
    for_each = var.ui ? [var.ui_client_id] : []

    content {
      auth_enabled           = true
      require_authentication = true
      require_https          = true
      unauthenticated_action = "RedirectToLoginPage"
      default_provider       = "azureactivedirectory"
      excluded_paths         = ["/runtime/webhooks/eventgrid", "/runtime/webhooks/eventgrid/*", "/admin", "/admin/*"]

      active_directory_v2 {
        client_id            = auth_settings_v2.value
        tenant_auth_endpoint = "${local.sign_in[var.cloud]}/${azurerm_user_assigned_identity.this.tenant_id}/v2.0"
      }

      login {
        token_store_enabled = false
      }
    }
  }

  lifecycle {
    precondition {
      condition     = !var.ui || var.ui_client_id != null
      error_message = "`ui = true` needs `ui_client_id`: the pages show the whole fleet, and are only for users with a role."
    }
  }

  depends_on = [azurerm_role_assignment.storage, azurerm_role_assignment.store, azurerm_storage_container.store]
}
