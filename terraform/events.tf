locals {
  # The topic of `vault` is in the resource group of keyrelay, as before `vaults` existed: moving it would recreate it. The
  # topics of `vaults` are where Azure's portal creates them: in the resource groups of the vaults.
  vaults = merge(
    { for key, vault in var.vaults : key => merge(vault, { topic_group = element(split("/", vault.id), 4) }) },
    { for vault in var.vault[*] : "vault" => merge(vault, { topic_group = var.resource_group_name }) },
  )
  subscribed_vaults = { for key, vault in local.vaults : key => vault if vault.subscribe }
}

# A vault has one system topic, in its own region. It can exist already, for example because of a Logic App.
resource "azurerm_eventgrid_system_topic" "this" {
  for_each = { for key, vault in local.subscribed_vaults : key => vault if vault.topic == null }

  name                = "${var.name}-${each.key}"
  resource_group_name = each.value.topic_group
  location            = each.value.location
  source_resource_id  = each.value.id
  topic_type          = "Microsoft.KeyVault.vaults"
  tags                = var.tags

  identity {
    type = "SystemAssigned"
  }
}

locals {
  topics = {
    for key, vault in local.subscribed_vaults : key => vault.topic != null ? vault.topic : {
      id           = azurerm_eventgrid_system_topic.this[key].id
      principal_id = azurerm_eventgrid_system_topic.this[key].identity[0].principal_id
    }
  }
}

# Azure refuses a subscription to a function that is not deployed yet: see `deploy.sh`.
resource "azurerm_eventgrid_system_topic_event_subscription" "this" {
  for_each = var.subscribe ? local.topics : {}

  name                 = var.name
  resource_group_name  = element(split("/", each.value.id), 4)
  system_topic         = element(split("/", each.value.id), 8)
  included_event_types = sort(var.event_types)

  azure_function_endpoint {
    function_id = "${azurerm_function_app_flex_consumption.this.id}/functions/SecretEvent"
    # The events of an Event Grid batch run concurrently, and one failure causes all of them to be delivered again.
    max_events_per_batch              = 1
    preferred_batch_size_in_kilobytes = 64
  }

  # The maximum: keyrelay can be unavailable for a day.
  retry_policy {
    event_time_to_live    = 1440
    max_delivery_attempts = 30
  }

  storage_blob_dead_letter_destination {
    storage_account_id          = azurerm_storage_account.this.id
    storage_blob_container_name = azurerm_storage_container.dead_letter.name
  }

  dead_letter_identity {
    type = "SystemAssigned"
  }

  dynamic "subject_filter" {
    for_each = var.subject_begins_with == null ? [] : [var.subject_begins_with]

    content {
      subject_begins_with = subject_filter.value
      case_sensitive      = false # Key Vault ignores case in names.
    }
  }

  depends_on = [azurerm_role_assignment.dead_letter]
}
