# Clouds other than the public one, each with endpoints of its own.

mock_provider "azurerm" {
  source = "./tests/mocks"

  mock_resource "azurerm_storage_account" {
    defaults = {
      id                     = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.Storage/storageAccounts/mocked"
      primary_blob_endpoint  = "https://mocked.blob.core.usgovcloudapi.net/"
      primary_queue_endpoint = "https://mocked.queue.core.usgovcloudapi.net/"
      primary_table_endpoint = "https://mocked.table.core.usgovcloudapi.net/"
    }
  }
}

variables {
  name                = "contoso-keyrelay"
  resource_group_name = "keyrelay"
  location            = "usgovvirginia"
  vault = {
    id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv"
    location = "usgovvirginia"
  }
  scopes = ["/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop"]
}

# Guards the other clouds: from a name the Functions host makes a URL of the public cloud, and the app would never start.
run "usgov" {
  command = apply

  variables {
    cloud = "usgov"
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_CLOUD"] == "usgov"
    error_message = "The cloud reaches keyrelay."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["AzureWebJobsStorage__blobServiceUri"] == "https://mocked.blob.core.usgovcloudapi.net"
    error_message = "The Functions host and keyrelay find the storage account by its URL."
  }
  assert {
    condition     = !contains(keys(azurerm_function_app_flex_consumption.this.app_settings), "AzureWebJobsStorage__accountName")
    error_message = "A name beside the URLs would win in parts of the Functions host."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.storage_container_endpoint == "https://mocked.blob.core.usgovcloudapi.net/package"
    error_message = "The package is where the cloud keeps blobs."
  }
}

# Guards the third cloud: its name reaches keyrelay, whose endpoints hang on it.
run "china" {
  command = apply

  variables {
    cloud = "china"
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_CLOUD"] == "china" && contains(keys(azurerm_function_app_flex_consumption.this.app_settings), "AzureWebJobsStorage__blobServiceUri")
    error_message = "The cloud reaches keyrelay and the Functions host."
  }
}
