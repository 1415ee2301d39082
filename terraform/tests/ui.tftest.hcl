# The pages in the function app: off, or behind Microsoft Entra.

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

# Guards the default: no new route.
run "no_pages" {
  command = apply

  assert {
    condition     = length(azurerm_function_app_flex_consumption.this.auth_settings_v2) == 0
    error_message = "Without pages there is nothing to sign in to."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["AzureWebJobs_Ui_Disabled"] == "true" && !contains(keys(azurerm_function_app_flex_consumption.this.app_settings), "KEYRELAY_UI")
    error_message = "The function of the pages is disabled, and keyrelay has no pages."
  }
}

# Guards the sign-in: all users sign in, but for those with a key.
run "pages_behind_entra" {
  command = apply

  variables {
    ui           = true
    ui_client_id = "00000000-0000-0000-0000-00000000000a"
  }

  assert {
    condition = alltrue([for auth in azurerm_function_app_flex_consumption.this.auth_settings_v2 :
      auth.auth_enabled && auth.require_authentication && auth.unauthenticated_action == "RedirectToLoginPage" && contains(auth.excluded_paths, "/runtime/webhooks/eventgrid")
    ]) && length(azurerm_function_app_flex_consumption.this.auth_settings_v2) == 1
    error_message = "All requests need a user, but for the deliveries of Event Grid."
  }
  assert {
    condition     = alltrue([for path in azurerm_function_app_flex_consumption.this.auth_settings_v2[0].excluded_paths : startswith(path, "/runtime/webhooks/eventgrid") || startswith(path, "/admin")])
    error_message = "Only paths with keys of the Functions host are excluded."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.auth_settings_v2[0].active_directory_v2[0].client_id == "00000000-0000-0000-0000-00000000000a" && startswith(azurerm_function_app_flex_consumption.this.auth_settings_v2[0].active_directory_v2[0].tenant_auth_endpoint, "https://login.microsoftonline.com/")
    error_message = "Users sign in to the app registration, in the tenant of the function app."
  }
  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["AzureWebJobs_Ui_Disabled"] == "false" && azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_UI"] == "true" && azurerm_function_app_flex_consumption.this.app_settings["KEYRELAY_UI_AUTHENTICATED"] == "true"
    error_message = "The function of the pages is on, and keyrelay knows that users sign in."
  }
}

# Guards against pages that no user, or every user, can open.
run "pages_without_an_app_registration" {
  command = plan

  variables {
    ui = true
  }

  expect_failures = [azurerm_function_app_flex_consumption.this]
}

run "an_app_registration_is_a_guid" {
  command = plan

  variables {
    ui           = true
    ui_client_id = "keyrelay-ui"
  }

  expect_failures = [var.ui_client_id]
}
