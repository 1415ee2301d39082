output "function_app_name" {
  description = "Name of the function app to which the package is deployed."
  value       = azurerm_function_app_flex_consumption.this.name
}

output "function_app_id" {
  description = "Resource id of the function app."
  value       = azurerm_function_app_flex_consumption.this.id
}

output "function_id" {
  description = "Resource id of the function that takes events, for event subscriptions of your own."
  value       = "${azurerm_function_app_flex_consumption.this.id}/functions/SecretEvent"
}

output "resource_group_name" {
  description = "Resource group of all resources."
  value       = var.resource_group_name
}

output "identity_client_id" {
  description = "Client id of keyrelay's identity; with `identities`, of the first one."
  value       = local.clients[0].client_id
}

output "identity_principal_id" {
  description = "Object id of keyrelay's identity; with `identities`, of the first one."
  value       = local.clients[0].principal_id
}

output "identity_principal_ids" {
  description = "Object ids of all identities of keyrelay, for further role assignments."
  value       = local.clients[*].principal_id
}

output "store_url" {
  description = "URL of the store, for `keyrelay runs --store`."
  value       = "${azurerm_storage_account.this.primary_blob_endpoint}${azurerm_storage_container.store.name}"
}

output "store_id" {
  description = "Resource id of the store's container. `keyrelay runs` needs Storage Blob Data Reader on it, and Storage Blob Data Contributor to resubmit."
  value       = azurerm_storage_container.store.id
}

output "storage_account_name" {
  description = "Name of the storage account. Its container `dead-letter` has the events that could not be delivered."
  value       = azurerm_storage_account.this.name
}

output "storage_account_id" {
  description = "Resource id of the storage account, for event subscriptions of your own."
  value       = azurerm_storage_account.this.id
}

output "dead_letter_id" {
  description = "Resource id of the container `dead-letter`. The topics of your own event subscriptions need Storage Blob Data Contributor on it."
  value       = azurerm_storage_container.dead_letter.id
}

output "log_analytics_workspace_id" {
  description = "Resource id of the workspace that receives the logs."
  value       = azurerm_log_analytics_workspace.this.id
}

output "log_analytics_workspace_guid" {
  description = "GUID of the same workspace, for `audit_workspace` and for queries."
  value       = azurerm_log_analytics_workspace.this.workspace_id
}

output "system_topic_id" {
  description = "Resource id of the system topic of `vault`; null with `vaults`."
  value       = var.vault == null ? null : one(values(local.topics)[*].id)
}

output "system_topic_ids" {
  description = "Resource ids of the system topics, by the keys of `vaults`."
  value       = { for key, topic in local.topics : key => topic.id }
}

output "early_news_scopes" {
  description = "The scopes whose changes Event Grid reports: with `early_news`, those in the subscription of the provider."
  value       = keys(local.news_scopes)
}

output "workbook_id" {
  description = "Resource id of the workbook, the overview in the portal."
  value       = azurerm_application_insights_workbook.this.id
}
