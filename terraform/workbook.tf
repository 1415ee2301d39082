# The overview in the portal: Application Insights, Workbooks. `check/workbook.mjs` checks its queries.
resource "azurerm_application_insights_workbook" "this" {
  # Azure wants a GUID. This one stays the same for the same name.
  name                = uuidv5("url", "https://${var.name}/workbook")
  resource_group_name = var.resource_group_name
  location            = var.location
  display_name        = "keyrelay (${var.name})"
  # Azure writes this id in lower case.
  source_id = lower(azurerm_application_insights.this.id)
  data_json = jsonencode(merge(
    jsondecode(file("${path.module}/workbook.json")),
    { fallbackResourceIds = [azurerm_application_insights.this.id] },
  ))
  tags = var.tags
}
