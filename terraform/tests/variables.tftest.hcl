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

# Names are made of it, which Azure cuts or refuses one by one, after others are made.
run "name_too_long" {
  command = plan
  variables {
    name = "a-name-that-is-much-longer-than-any-function-app-may-have"
  }
  expect_failures = [var.name]
}

# No role at all would be made, and every rotation be refused.
run "unknown_permissions" {
  command = plan
  variables {
    permissions = "all"
  }
  expect_failures = [var.permissions]
}

# keyrelay would not start, and events wait for a day.
run "unknown_mode" {
  command = plan
  variables {
    mode = "dry-run"
  }
  expect_failures = [var.mode]
}

# As above; and a token would be asked for that no endpoint takes.
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

# The workspace is made last: better to know before.
run "too_short_retention" {
  command = plan
  variables {
    retention_days = 7
  }
  expect_failures = [var.retention_days]
}

# Event Grid has no patterns there: not one event would ever match, and nobody would notice.
run "subject_is_a_pattern" {
  command = plan
  variables {
    subject_begins_with = "sql-*"
  }
  expect_failures = [var.subject_begins_with]
}

# No type at all means all types to Event Grid: the contrary of what is wanted.
run "no_event_type" {
  command = plan
  variables {
    event_types = []
  }
  expect_failures = [var.event_types]
}

# An empty AzureWebJobsStorage hides the connection with the identity from the Functions host.
run "empty_storage_connection" {
  command = plan
  variables {
    app_settings = { AzureWebJobsStorage = "" }
  }
  expect_failures = [var.app_settings]
}

# Azure refuses it on Flex Consumption when everything else is made.
run "worker_runtime" {
  command = plan
  variables {
    app_settings = { FUNCTIONS_WORKER_RUNTIME = "custom" }
  }
  expect_failures = [var.app_settings]
}

# What begins like a setting of the Functions host and is a different one stays possible.
run "settings_with_similar_names" {
  command = plan
  variables {
    app_settings = { AzureWebJobsFeatureFlags = "x", AzureWebJobs_Reconcile_Disabled = "1" }
  }
}

# The name of an action group is what people have at hand; Azure would refuse it with the last resource.
run "action_group_by_name" {
  command = plan
  variables {
    action_group_ids = ["night"]
  }
  expect_failures = [var.action_group_ids]
}

# An id where a name is wanted leads to ids within ids.
run "group_by_id" {
  command = plan
  variables {
    resource_group_name = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/keyrelay"
  }
  expect_failures = [var.resource_group_name]
}

# The name of a topic is what the portal shows.
run "topic_by_name" {
  command = plan
  variables {
    vault = {
      id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv"
      location = "westeurope"
      topic    = { id = "of-the-vault", principal_id = "00000000-0000-0000-0000-000000000011" }
    }
  }
  expect_failures = [var.vault]
}

# A region that is missing: the topic would be made in none.
run "no_region_of_the_vault" {
  command = plan
  variables {
    vault = {
      id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv"
      location = ""
    }
  }
  expect_failures = [var.vault]
}

# As above, for everything else.
run "no_region" {
  command = plan
  variables {
    location = ""
  }
  expect_failures = [var.location]
}

# The name of a workspace is what the portal shows first.
run "audit_workspace_by_name" {
  command = plan
  variables {
    audit_workspace = { id = "audit", workspace_id = "00000000-0000-0000-0000-000000000013" }
  }
  expect_failures = [var.audit_workspace]
}

# Two ids, one for roles and one for queries: with the first in both places, every query would end in a 404.
run "audit_workspace_without_guid" {
  command = plan
  variables {
    audit_workspace = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/logs/providers/Microsoft.OperationalInsights/workspaces/audit"
      workspace_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/logs/providers/Microsoft.OperationalInsights/workspaces/audit"
    }
  }
  expect_failures = [var.audit_workspace]
}

# Without a vault, nothing would ever be delivered.
run "no_vault" {
  command = plan
  variables {
    vault = null
  }
  expect_failures = [var.vaults]
}

# One of the two would be ignored.
run "vault_and_vaults" {
  command = plan
  variables {
    vaults = {
      bank = {
        id       = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/bank/providers/Microsoft.KeyVault/vaults/contoso-bank"
        location = "westeurope"
      }
    }
  }
  expect_failures = [var.vaults]
}

# Azure refuses the second topic of a vault with the last resource. Ids compare without case.
run "one_vault_twice" {
  command = plan
  variables {
    vault = null
    vaults = {
      shop  = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv", location = "westeurope" }
      again = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourcegroups/SHOP/providers/Microsoft.KeyVault/vaults/Contoso-KV", location = "westeurope" }
    }
  }
  expect_failures = [var.vaults]
}

# Names are made of the key.
run "key_with_a_space" {
  command = plan
  variables {
    vault  = null
    vaults = { "the shop" = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv", location = "westeurope" } }
  }
  expect_failures = [var.vaults]
}

# The name of a topic has up to 50 characters.
run "key_too_long" {
  command = plan
  variables {
    vault  = null
    vaults = { the-vault-of-the-shop-in-western-europe = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv", location = "westeurope" } }
  }
  expect_failures = [var.vaults]
}

# As with one vault.
run "one_of_the_vaults_by_url" {
  command = plan
  variables {
    vault  = null
    vaults = { shop = { id = "https://contoso-kv.vault.azure.net", location = "westeurope" } }
  }
  expect_failures = [var.vaults]
}

# As with one vault.
run "no_region_of_one_of_the_vaults" {
  command = plan
  variables {
    vault  = null
    vaults = { shop = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv", location = "" } }
  }
  expect_failures = [var.vaults]
}

# As with one vault.
run "topic_of_one_of_the_vaults_by_name" {
  command = plan
  variables {
    vault  = null
    vaults = { shop = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv", location = "westeurope", topic = { id = "of-the-vault", principal_id = "00000000-0000-0000-0000-000000000011" } } }
  }
  expect_failures = [var.vaults]
}

# The topic would be ignored, and no event be delivered.
run "topic_without_a_subscription" {
  command = plan
  variables {
    vault = null
    vaults = {
      shop = {
        id        = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv"
        location  = "westeurope"
        subscribe = false
        topic     = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/events/providers/Microsoft.EventGrid/systemTopics/of-the-vault", principal_id = "00000000-0000-0000-0000-000000000011" }
      }
    }
  }
  expect_failures = [var.vaults]
}

# Azure refuses more than that much later, and a fraction is no number of identities.
run "too_many_identities" {
  command = plan
  variables {
    identities = 11
  }
  expect_failures = [var.identities]
}

# As above.
run "half_an_identity" {
  command = plan
  variables {
    identities = 1.5
  }
  expect_failures = [var.identities]
}

# As above.
run "less_than_no_identity" {
  command = plan
  variables {
    identities = -1
  }
  expect_failures = [var.identities]
}

# A topic of another scope would be ignored.
run "topic_of_another_scope" {
  command = plan
  variables {
    early_news = true
    early_news_topics = {
      "/subscriptions/00000000-0000-0000-0000-000000000002" = "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/events/providers/Microsoft.EventGrid/systemTopics/other"
    }
  }
  expect_failures = [var.early_news_topics]
}

# The name of a topic is what the portal shows.
run "topic_of_a_scope_by_name" {
  command = plan
  variables {
    early_news        = true
    early_news_topics = { "/subscriptions/00000000-0000-0000-0000-000000000001" = "of-the-subscription" }
  }
  expect_failures = [var.early_news_topics]
}

# As with several vaults.
run "topic_of_the_vault_without_a_subscription" {
  command = plan
  variables {
    vault = {
      id        = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv"
      location  = "westeurope"
      subscribe = false
      topic     = { id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/events/providers/Microsoft.EventGrid/systemTopics/of-the-vault", principal_id = "00000000-0000-0000-0000-000000000011" }
    }
  }
  expect_failures = [var.vault]
}
