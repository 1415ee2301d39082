# What Azure would make up, where its form matters: ids, endpoints, identities.

mock_data "azurerm_client_config" {
  defaults = {
    subscription_id = "00000000-0000-0000-0000-000000000001"
    tenant_id       = "00000000-0000-0000-0000-00000000000a"
    object_id       = "00000000-0000-0000-0000-00000000000b"
  }
}
mock_resource "azurerm_resource_group" {
  defaults = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay"
  }
}
mock_resource "azurerm_key_vault" {
  defaults = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.KeyVault/vaults/demo-vault"
  }
}
mock_resource "azurerm_linux_function_app" {
  defaults = {
    id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.Web/sites/demo-timer"
    identity = { principal_id = "00000000-0000-0000-0000-000000000010" }
  }
}
mock_resource "azurerm_storage_account" {
  defaults = {
    id                     = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.Storage/storageAccounts/mocked"
    primary_blob_endpoint  = "https://mocked.blob.core.windows.net/"
    primary_queue_endpoint = "https://mocked.queue.core.windows.net/"
    primary_table_endpoint = "https://mocked.table.core.windows.net/"
  }
}
mock_resource "azurerm_storage_container" {
  defaults = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.Storage/storageAccounts/mocked/blobServices/default/containers/mocked"
  }
}
mock_resource "azurerm_service_plan" {
  defaults = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.Web/serverFarms/mocked"
  }
}
mock_resource "azurerm_function_app_flex_consumption" {
  defaults = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.Web/sites/keyrelay"
  }
}
mock_resource "azurerm_user_assigned_identity" {
  defaults = {
    id           = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.ManagedIdentity/userAssignedIdentities/mocked"
    client_id    = "00000000-0000-0000-0000-00000000000c"
    principal_id = "00000000-0000-0000-0000-00000000000d"
    tenant_id    = "00000000-0000-0000-0000-00000000000a"
  }
}
mock_resource "azurerm_log_analytics_workspace" {
  defaults = {
    id           = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.OperationalInsights/workspaces/mocked"
    workspace_id = "00000000-0000-0000-0000-000000000012"
  }
}
mock_resource "azurerm_application_insights" {
  defaults = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.Insights/components/mocked"
  }
}
mock_resource "azurerm_application_insights_workbook" {
  defaults = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.Insights/workbooks/mocked"
  }
}
mock_resource "azurerm_monitor_action_group" {
  defaults = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.Insights/actionGroups/mocked"
  }
}
mock_resource "azurerm_eventgrid_system_topic" {
  defaults = {
    id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.EventGrid/systemTopics/mocked"
    identity = { principal_id = "00000000-0000-0000-0000-00000000000e" }
  }
}
mock_resource "azurerm_role_definition" {
  defaults = {
    role_definition_resource_id = "/subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.Authorization/roleDefinitions/00000000-0000-0000-0000-00000000000f"
  }
}
