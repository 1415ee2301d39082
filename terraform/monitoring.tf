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
  # Alerts count every line. `main.tf` disables sampling in the Functions host too.
  sampling_percentage = 100
  # Local authentication stays enabled: keyrelay sends its traces and metrics with the connection string alone. Also,
  # azurerm 4.55 and 5.x have no common name for this argument. The string allows sending telemetry, but not reading it.
  tags = var.tags
}

# The reads of the vaults, the deliveries of Event Grid, the accesses to the store, and the log of the app.
locals {
  diagnostics = merge({
    for key, vault in local.vaults : "vault/${key}" => { id = vault.id, logs = ["AuditEvent"], metrics = [] }
    }, {
    for key, topic in local.topics : "topic/${key}" => { id = topic.id, logs = ["DeliveryFailures"], metrics = ["AllMetrics"] }
    }, {
    app = { id = azurerm_function_app_flex_consumption.this.id, logs = ["FunctionAppLogs"], metrics = ["AllMetrics"] }
    store = {
      id      = "${azurerm_storage_account.this.id}/blobServices/default"
      logs    = ["StorageRead", "StorageWrite", "StorageDelete"]
      metrics = ["Transaction"]
    }
  })
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  for_each = local.diagnostics

  # The vault can have other diagnostic settings, for example those of another keyrelay.
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

# keyrelay prints one line of JSON with the verdict of each rotation, and the Functions host forwards it to `traces`.
# The log writes `rolled back` with a space; only the command line uses a dash.
locals {
  lines = <<-KQL
    let lines = traces
    | where message startswith '{'
    | extend line = parse_json(message)
    | extend verdict = tostring(line.verdict), level = tostring(line.level), words = tostring(line.message)
    | extend app = tostring(line['app.id']), secret = strcat(line['vault.host'], '/', line['secret.name'])
    | extend event = tostring(line['event.type']), run = tostring(line['run.id']), is_notice = tobool(line.notice) == true;
  KQL

  # Lines about an expiry, and for each secret the time of its last new version. A renewed secret expires no more.
  expiries = <<-KQL
    let renewals = lines
    | where event endswith 'NewVersionCreated'
    | summarize renewed = max(timestamp) by secret;
    let expiries = lines
    | where event matches regex @'(Secret|Certificate)(NearExpiry|ExpiryReminder|Expired)$'
    | join kind=leftouter renewals on secret
    | where isnull(renewed) or timestamp > renewed;
  KQL

  # A window is three times as long as the evaluation interval: lines take a few minutes to arrive, and a line that
  # arrives after its window was evaluated would be missed.
  alerts = {
    # One alert at a time, however many apps have failed: a common cause would send a message for each.
    rotation-failed = {
      description = "A rotation failed, was refused or was rolled back. `keyrelay runs --since 1h --verdict failed,refused,rolled-back` lists it, and `keyrelay runs show ID` shows the reason."
      severity    = 1
      query       = "lines | where verdict in ('failed', 'refused', 'rolled back')"
      frequency   = "PT5M"
      window      = "PT15M"
      dimensions  = []
    }
    policy-quarantined = {
      description = "A policy cannot be used. `keyrelay inspect policies` shows the reason."
      severity    = 2
      query       = "lines | where words startswith 'policy quarantined'"
      frequency   = "PT5M"
      window      = "PT15M"
      dimensions  = []
    }
    keyrelay-troubled = {
      description = "keyrelay itself has a problem with its configuration, its store or its timer. The log line says what to do."
      severity    = 1
      query       = "lines | where level == 'ERROR' and isempty(verdict) and words !startswith 'policy quarantined'"
      frequency   = "PT5M"
      window      = "PT15M"
      dimensions  = []
    }
    pending-too-long = {
      description = "A rotation is neither verified nor rolled back after an hour. `keyrelay runs --since 2d --verdict pending` lists it."
      severity    = 2
      # Apps that have been pending for an hour, without another verdict since. Events that wait for their not-before date
      # name no app, so they do not count.
      query      = <<-KQL
        lines | where isnotempty(app) and verdict == 'pending'
        | join kind=leftouter (
            lines | where isnotempty(verdict) and verdict != 'pending' | summarize done = max(timestamp) by app, secret
          ) on app, secret
        | where isnull(done) or timestamp > done
        | summarize since = min(timestamp) by app, secret
        | where since < ago(1h)
      KQL
      frequency  = "PT1H"
      window     = "P1D"
      dimensions = []
    }
    # A policy calls for a person, in a text that says what to do.
    notice = {
      description = "A policy reports something that a person must know or do, in the text of the notice. `keyrelay runs --since 1d --verdict notice` lists it."
      severity    = 2
      query       = "lines | where is_notice"
      frequency   = "PT15M"
      window      = "PT45M"
      dimensions  = ["secret"]
    }
    # Without those that a notice has reported already: there would be two messages. An expired secret is told by both.
    secret-expiring = {
      description = "A secret or certificate expires soon, and has no newer version yet. Create a new version of it."
      severity    = 2
      query       = <<-KQL
        ${local.expiries}
        let noticed = lines | where is_notice | distinct run;
        expiries | where event !endswith 'Expired' | join kind=leftanti noticed on run
      KQL
      frequency   = "PT1H"
      window      = "P1D"
      dimensions  = ["secret"]
    }
    secret-expired = {
      description = "A secret or certificate has expired, and has no newer version. Create a new version of it."
      severity    = 1
      query       = <<-KQL
        ${local.expiries}
        expiries | where event endswith 'Expired'
      KQL
      frequency   = "PT1H"
      window      = "P1D"
      dimensions  = ["secret"]
    }
  }

  # The id of the group of `alert_emails` is unknown before the first apply: it stays out of `sort`.
  action_groups = concat(sort(var.action_group_ids), azurerm_monitor_action_group.mail[*].id)
}

# The addresses of `alert_emails`. Each gets a message from Azure when it is added.
resource "azurerm_monitor_action_group" "mail" {
  count = length(var.alert_emails) > 0 ? 1 : 0

  name                = "${var.name}-mail"
  resource_group_name = var.resource_group_name
  short_name          = "keyrelay"
  tags                = var.tags

  dynamic "email_receiver" {
    for_each = sort(var.alert_emails)

    content {
      name                    = email_receiver.value
      email_address           = email_receiver.value
      use_common_alert_schema = true
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
  enabled              = !contains(var.disabled_alerts, each.key)
  scopes               = [azurerm_application_insights.this.id]
  evaluation_frequency = each.value.frequency
  window_duration      = each.value.window
  # One message at the start and one at the end, not one for each evaluation.
  auto_mitigation_enabled = true
  # The tables do not exist before the first line arrives.
  skip_query_validation = true
  tags                  = var.tags

  criteria {
    query                   = "${local.lines}${each.value.query}"
    time_aggregation_method = "Count"
    operator                = "GreaterThan"
    threshold               = 0

    # An alert of its own for each secret. The message names it.
    dynamic "dimension" {
      for_each = each.value.dimensions

      content {
        name     = dimension.value
        operator = "Include"
        values   = ["*"]
      }
    }
  }

  dynamic "action" {
    for_each = length(local.action_groups) > 0 ? [1] : []

    content {
      action_groups = local.action_groups
    }
  }
}

# An event that was not delivered for a day has left the system: check it, and the apps of its secret. A metric alert
# covers the topics of one region at most, so each topic has its own.
locals {
  losses = {
    dead-lettered = { metric = "DeadLetteredCount", description = "could not be delivered for a day. It is in the container dead-letter." }
    dropped       = { metric = "DroppedEventCount", description = "was dropped because it could not be dead-lettered either." }
  }
  loss_alerts = merge([
    for key, topic in local.topics : {
      for name, loss in local.losses : "${key}-${name}" => {
        topic       = topic.id
        enabled     = !contains(var.disabled_alerts, name)
        metric      = loss.metric
        description = "An event of the vault ${element(split("/", local.vaults[key].id), 8)} ${loss.description}"
      }
    }
  ]...)
}

resource "azurerm_monitor_metric_alert" "dead_letter" {
  for_each = local.loss_alerts

  name                = "${var.name}-${each.key}"
  resource_group_name = var.resource_group_name
  description         = each.value.description
  severity            = 1
  enabled             = each.value.enabled
  scopes              = [each.value.topic]
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
    for_each = local.action_groups

    content {
      action_group_id = action.value
    }
  }
}
