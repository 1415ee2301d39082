# Early news: Event Grid reports each change of an app in a scope. Without it, keyrelay learns of a new reference from the
# next sweep. A report that is lost therefore costs only time, so there are no dead letters and no alerts.
data "azurerm_client_config" "current" {
  count = var.early_news ? 1 : 0
}

locals {
  # A system topic is in the subscription of its source, and a provider creates resources in one subscription.
  news_scopes = {
    for scope in var.scopes : scope => {
      topic_type = length(split("/", scope)) == 3 ? "Microsoft.Resources.Subscriptions" : "Microsoft.Resources.ResourceGroups"
      topic      = lookup(var.early_news_topics, scope, null)
    } if lower(split("/", scope)[2]) == lower(join("", data.azurerm_client_config.current[*].subscription_id))
  }
}

resource "azurerm_eventgrid_system_topic" "news" {
  for_each = { for scope, news in local.news_scopes : scope => news if news.topic == null }

  name                = "${var.name}-${substr(sha256(lower(each.key)), 0, 8)}"
  resource_group_name = var.resource_group_name
  location            = "global"
  source_resource_id  = each.key
  topic_type          = each.value.topic_type
  tags                = var.tags
}

resource "azurerm_eventgrid_system_topic_event_subscription" "news" {
  for_each = {
    for scope, news in local.news_scopes : scope => news.topic != null ? news.topic : azurerm_eventgrid_system_topic.news[scope].id if var.subscribe
  }

  name                 = "${var.name}-news"
  resource_group_name  = element(split("/", each.value), 4)
  system_topic         = element(split("/", each.value), 8)
  included_event_types = ["Microsoft.Resources.ResourceWriteSuccess"]

  # Both have to match. Advanced filters ignore case.
  advanced_filter {
    string_contains {
      key    = "subject"
      values = ["/providers/Microsoft.Web/sites/"]
    }

    # The writes that can change a reference: of an app or slot itself, and of its settings and connection strings. Those of
    # deployments, functions and certificates cannot.
    string_in {
      key = "data.operationName"
      values = [
        "Microsoft.Web/sites/write",
        "Microsoft.Web/sites/config/write",
        "Microsoft.Web/sites/slots/write",
        "Microsoft.Web/sites/slots/config/write",
      ]
    }
  }

  azure_function_endpoint {
    function_id = "${azurerm_function_app_flex_consumption.this.id}/functions/SecretEvent"
    # As for the events of a vault.
    max_events_per_batch              = 1
    preferred_batch_size_in_kilobytes = 64
  }

  # A sweep finds the change without the report, too.
  retry_policy {
    event_time_to_live    = 60
    max_delivery_attempts = 30
  }
}
