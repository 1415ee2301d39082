# Guards the workbook. `check/workbook.mjs` checks its form and its queries.

mock_provider "azurerm" {
  source = "./tests/mocks"
}

variables {
  name                = "contoso-keyrelay"
  resource_group_name = "keyrelay"
  location            = "westeurope"
  vault = {
    id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv"
    location = "northeurope"
  }
  scopes = ["/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop"]
}

# It opens beside the data that it shows.
run "workbook" {
  command = apply

  assert {
    condition     = jsondecode(azurerm_application_insights_workbook.this.data_json).fallbackResourceIds == [azurerm_application_insights.this.id] && jsondecode(azurerm_application_insights_workbook.this.data_json).version == "Notebook/1.0"
    error_message = "The queries run in keyrelay's Application Insights."
  }
  assert {
    condition     = azurerm_application_insights_workbook.this.source_id == lower(azurerm_application_insights.this.id)
    error_message = "The workbook is listed there. The provider refuses capital letters."
  }
  assert {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", azurerm_application_insights_workbook.this.name))
    error_message = "The name of a workbook is a GUID in lower case."
  }
  assert {
    condition     = output.workbook_id == azurerm_application_insights_workbook.this.id
    error_message = "The id is an output."
  }
}

# Two installations in one resource group have two workbooks.
run "workbook_of_another_installation" {
  command = apply

  variables {
    name = "contoso-keyrelay-2"
  }

  assert {
    condition     = azurerm_application_insights_workbook.this.name != uuidv5("url", "https://contoso-keyrelay/workbook")
    error_message = "The names differ."
  }
}
