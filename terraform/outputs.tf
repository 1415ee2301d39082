output "function_app_name" {
  description = "Name of the function app: deploy the package to it."
  value       = azurerm_function_app_flex_consumption.this.name
}

output "function_app_id" {
  description = "Resource id of the function app."
  value       = azurerm_function_app_flex_consumption.this.id
}

output "resource_group_name" {
  description = "Resource group that everything is in."
  value       = var.resource_group_name
}

output "identity_client_id" {
  description = "Client id of the identity that keyrelay works with."
  value       = azurerm_user_assigned_identity.this.client_id
}

output "identity_principal_id" {
  description = "Object id of that identity, for further role assignments."
  value       = azurerm_user_assigned_identity.this.principal_id
}

output "store_url" {
  description = "The store, for `keyrelay runs --store`."
  value       = "${azurerm_storage_account.this.primary_blob_endpoint}${azurerm_storage_container.store.name}"
}

output "store_id" {
  description = "Resource id of the store's container: whoever runs `keyrelay runs` needs Storage Blob Data Reader on it, or Contributor to resubmit."
  value       = azurerm_storage_container.store.id
}

output "storage_account_name" {
  description = "Name of the storage account, whose container `dead-letter` has what could not be delivered."
  value       = azurerm_storage_account.this.name
}

output "log_analytics_workspace_id" {
  description = "Resource id of the workspace that logs go to."
  value       = azurerm_log_analytics_workspace.this.id
}

output "system_topic_id" {
  description = "Resource id of the vault's system topic."
  value       = local.topic.id
}
