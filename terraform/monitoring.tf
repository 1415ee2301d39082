resource "azurerm_log_analytics_workspace" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  sku                 = "PerGB2018"
  retention_in_days   = var.retention_days
  tags                = var.tags
}

resource "azurerm_application_insights" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  application_type    = "other"
  workspace_id        = azurerm_log_analytics_workspace.this.id
  retention_in_days   = var.retention_days
  # Alerts count every line.
  sampling_percentage = 100
  tags                = var.tags
}

# Who read the vault, what Event Grid delivered, who touched the store, what the app logged.
locals {
  diagnostics = {
    topic = { id = azurerm_eventgrid_system_topic.this.id, logs = ["DeliveryFailures"], metrics = ["AllMetrics"] }
    app   = { id = azurerm_function_app_flex_consumption.this.id, logs = ["FunctionAppLogs"], metrics = ["AllMetrics"] }
    store = {
      id      = "${azurerm_storage_account.this.id}/blobServices/default"
      logs    = ["StorageRead", "StorageWrite", "StorageDelete"]
      metrics = ["Transaction"]
    }
  }
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  for_each = local.diagnostics

  name                       = "keyrelay"
  target_resource_id         = each.value.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  dynamic "enabled_log" {
    for_each = each.value.logs

    content {
      category = enabled_log.value
    }
  }

  dynamic "enabled_metric" {
    for_each = each.value.metrics

    content {
      category = enabled_metric.value
    }
  }
}

# keyrelay prints one line of JSON for each rotation, with its verdict; the Functions host passes it on to `traces`.
locals {
  lines = "traces | where message startswith '{' | extend line = parse_json(message) | extend verdict = tostring(line.verdict)"

  alerts = {
    rotation-failed = {
      description = "A rotation has failed, was refused or taken back: `keyrelay runs --since 1h --verdict failed,refused,rolled-back` says which, `keyrelay runs show ID` says why."
      severity    = 1
      query       = "${local.lines} | where verdict in ('failed', 'refused', 'rolled-back')"
      frequency   = "PT5M"
      window      = "PT5M"
    }
    policy-quarantined = {
      description = "A policy cannot be used: `keyrelay inspect policies` says why."
      severity    = 2
      query       = "${local.lines} | where tostring(line.message) startswith 'policy quarantined'"
      frequency   = "PT15M"
      window      = "PT15M"
    }
    pending-too-long = {
      description = "A rotation is neither proven nor taken back after an hour: `keyrelay runs --since 2d --verdict pending` lists it."
      severity    = 2
      # Rotations that were pending once and have had no other verdict since.
      query     = "${local.lines} | where isnotempty(verdict) | extend app = tostring(line['app.id']), secret = tostring(line['secret.name']) | summarize arg_max(timestamp, verdict), since = minif(timestamp, verdict == 'pending') by app, secret | where verdict == 'pending' and since < ago(1h)"
      frequency = "PT1H"
      window    = "P1D"
    }
  }
}

resource "azurerm_monitor_scheduled_query_rules_alert_v2" "this" {
  for_each = local.alerts

  name                 = "${var.name}-${each.key}"
  resource_group_name  = var.resource_group_name
  location             = var.location
  description          = each.value.description
  severity             = each.value.severity
  scopes               = [azurerm_application_insights.this.id]
  evaluation_frequency = each.value.frequency
  window_duration      = each.value.window
  # The tables are made by the first line that arrives.
  skip_query_validation = true
  tags                  = var.tags

  criteria {
    query                   = each.value.query
    time_aggregation_method = "Count"
    operator                = "GreaterThan"
    threshold               = 0
  }

  dynamic "action" {
    for_each = length(var.action_group_ids) > 0 ? [1] : []

    content {
      action_groups = sort(var.action_group_ids)
    }
  }
}

# An event that was not delivered for a day has left the system: look at it, and at the apps of its secret.
resource "azurerm_monitor_metric_alert" "dead_letter" {
  for_each = {
    dead-lettered = { metric = "DeadLetteredCount", description = "An event could not be delivered for a day: it is in the container dead-letter." }
    dropped       = { metric = "DroppedEventCount", description = "An event was dropped: it could not be dead-lettered either." }
  }

  name                = "${var.name}-${each.key}"
  resource_group_name = var.resource_group_name
  description         = each.value.description
  severity            = 1
  scopes              = [azurerm_eventgrid_system_topic.this.id]
  frequency           = "PT5M"
  window_size         = "PT15M"
  tags                = var.tags

  criteria {
    metric_namespace = "Microsoft.EventGrid/systemTopics"
    metric_name      = each.value.metric
    aggregation      = "Total"
    operator         = "GreaterThan"
    threshold        = 0
  }

  dynamic "action" {
    for_each = var.action_group_ids

    content {
      action_group_id = action.value
    }
  }
}
