# What cannot work is refused before anything is made, with a sentence that says what would.

mock_provider "azurerm" {}

variables {
  name                = "contoso-keyrelay"
  resource_group_name = "keyrelay"
  location            = "westeurope"
  vault = {
    id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv"
    location = "westeurope"
  }
  scopes = ["/subscriptions/00000000-0000-0000-0000-000000000001"]
}

# The URL of a vault is what people have at hand.
run "vault_url" {
  command = plan
  variables {
    vault = { id = "https://contoso-kv.vault.azure.net", location = "westeurope" }
  }
  expect_failures = [var.vault]
}

# Without a scope no app would ever be found.
run "no_scope" {
  command = plan
  variables {
    scopes = []
  }
  expect_failures = [var.scopes]
}

# A role on one app only: then the apps are named in keyrelay.toml, and the role is given by hand.
run "scope_is_an_app" {
  command = plan
  variables {
    scopes = ["/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.Web/sites/orders"]
  }
  expect_failures = [var.scopes]
}

run "name_too_long" {
  command = plan
  variables {
    name = "a-name-that-is-much-longer-than-any-function-app-may-have"
  }
  expect_failures = [var.name]
}

run "unknown_permissions" {
  command = plan
  variables {
    permissions = "all"
  }
  expect_failures = [var.permissions]
}

run "unknown_mode" {
  command = plan
  variables {
    mode = "dry-run"
  }
  expect_failures = [var.mode]
}

run "unknown_cloud" {
  command = plan
  variables {
    cloud = "germany"
  }
  expect_failures = [var.cloud]
}

# The name as the portal shows it.
run "unknown_event_type" {
  command = plan
  variables {
    event_types = ["SecretNewVersionCreated"]
  }
  expect_failures = [var.event_types]
}

run "too_short_retention" {
  command = plan
  variables {
    retention_days = 7
  }
  expect_failures = [var.retention_days]
}
