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
  # Alerts count every line; in `main.tf` the Functions host is kept from sampling, too.
  sampling_percentage = 100
  # Local authentication stays on: keyrelay sends its traces and metrics with the connection string alone. Besides,
  # azurerm 4.55 and 5.x have no name for it in common. The string lets its holder send telemetry, and read none.
  tags = var.tags
}

# Who read the vault, what Event Grid delivered, who touched the store, what the app logged.
locals {
  diagnostics = {
    vault = { id = var.vault.id, logs = ["AuditEvent"], metrics = [] }
    topic = { id = local.topic.id, logs = ["DeliveryFailures"], metrics = ["AllMetrics"] }
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

  # The vault may have settings of others, and those of another keyrelay.
  name                       = var.name
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
# The words are those of the log: `rolled back` has a space there, and a dash only on the command line.
locals {
  lines = <<-KQL
    let lines = traces
    | where message startswith '{'
    | extend line = parse_json(message)
    | extend verdict = tostring(line.verdict), level = tostring(line.level), words = tostring(line.message)
    | extend app = tostring(line['app.id']), secret = strcat(line['vault.host'], '/', line['secret.name']);
  KQL

  # A window is three times as long as the time between two looks: lines take some minutes to arrive, and one that came
  # after its window had been looked at would never be seen.
  alerts = {
    rotation-failed = {
      description = "A rotation has failed, was refused or taken back: `keyrelay runs --since 1h --verdict failed,refused,rolled-back` says which, `keyrelay runs show ID` says why."
      severity    = 1
      query       = "lines | where verdict in ('failed', 'refused', 'rolled back')"
      frequency   = "PT5M"
      window      = "PT15M"
    }
    policy-quarantined = {
      description = "A policy cannot be used: `keyrelay inspect policies` says why."
      severity    = 2
      query       = "lines | where words startswith 'policy quarantined'"
      frequency   = "PT5M"
      window      = "PT15M"
    }
    keyrelay-troubled = {
      description = "keyrelay itself is in trouble: its configuration, its store, its timer. The line in the log says what to do."
      severity    = 1
      query       = "lines | where level == 'ERROR' and isempty(verdict) and words !startswith 'policy quarantined'"
      frequency   = "PT5M"
      window      = "PT15M"
    }
    pending-too-long = {
      description = "A rotation is neither proven nor taken back after an hour: `keyrelay runs --since 2d --verdict pending` lists it."
      severity    = 2
      # Apps that have been pending for an hour, without another verdict since. Events that wait for their not-before date
      # name no app.
      query     = <<-KQL
        lines | where isnotempty(app) and verdict == 'pending'
        | join kind=leftouter (
            lines | where isnotempty(verdict) and verdict != 'pending' | summarize done = max(timestamp) by app, secret
          ) on app, secret
        | where isnull(done) or timestamp > done
        | summarize since = min(timestamp) by app, secret
        | where since < ago(1h)
      KQL
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
  # One message when it begins and one when it is over, not one for each look.
  auto_mitigation_enabled = true
  # The tables are made by the first line that arrives.
  skip_query_validation = true
  tags                  = var.tags

  criteria {
    query                   = "${local.lines}${each.value.query}"
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
  scopes              = [local.topic.id]
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
