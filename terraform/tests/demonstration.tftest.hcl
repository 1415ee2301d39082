# The demonstration in `examples/complete`, made as `deploy.sh` makes it: in two phases, from nothing.

mock_provider "azurerm" {
  source = "./tests/mocks"
}

variables {
  subscription_id = "00000000-0000-0000-0000-000000000001"
  name            = "demo"
}

# Guards the first phase: `deploy.sh` asks for these outputs before anything else is made, and the id of the resource group,
# for each of which there is a role assignment, is not known before.
run "first_phase" {
  command = apply

  module {
    source = "./examples/complete"
  }

  plan_options {
    target = [module.keyrelay.azurerm_function_app_flex_consumption.this]
  }

  assert {
    condition     = output.function_app_name == "demo-keyrelay" && output.resource_group_name == "demo-keyrelay"
    error_message = "deploy.sh does not know where the package goes."
  }
}

# Guards the second phase: everything else is made on top of the first.
run "second_phase" {
  command = apply

  module {
    source = "./examples/complete"
  }

  assert {
    condition     = output.store_url == "https://mocked.blob.core.windows.net/keyrelay"
    error_message = "rotate.sh does not know where the runs are."
  }
  assert {
    condition     = azurerm_linux_function_app.timer.app_settings["SINK"] == "@Microsoft.KeyVault(VaultName=demo-vault;SecretName=sink)"
    error_message = "The app references the secret without a version: keyrelay needs to refresh only."
  }
  assert {
    condition     = azurerm_role_assignment.reader.scope == "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay/providers/Microsoft.Storage/storageAccounts/mocked/blobServices/default/containers/mocked"
    error_message = "Without it, rotate.sh cannot see the runs."
  }
  assert {
    condition     = length(azurerm_application_insights.sink) == 2
    error_message = "The secret changes between two."
  }
}
