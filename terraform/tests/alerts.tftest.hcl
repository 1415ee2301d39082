# Guards that people are told: by which alerts, and where.

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

# Guards alerts: one for each condition that needs a person, and each goes to the group. The log writes `rolled back`: an
# alert that looked for `rolled-back`, as the command line has it, never fired. One whose window is no longer than the time
# between two evaluations loses lines that arrive late.
run "alerts" {
  command = apply

  variables {
    action_group_ids = ["/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/ops/providers/Microsoft.Insights/actionGroups/night"]
  }

  assert {
    condition     = toset(keys(azurerm_monitor_scheduled_query_rules_alert_v2.this)) == toset(["rotation-failed", "policy-quarantined", "keyrelay-troubled", "pending-too-long", "notice", "secret-expiring", "secret-expired"])
    error_message = "An alert is missing."
  }
  assert {
    condition     = strcontains(azurerm_monitor_scheduled_query_rules_alert_v2.this["rotation-failed"].criteria[0].query, "('failed', 'refused', 'rolled back')")
    error_message = "The verdicts are those of the log."
  }
  assert {
    condition     = alltrue([for alert in azurerm_monitor_scheduled_query_rules_alert_v2.this : alert.window_duration != alert.evaluation_frequency])
    error_message = "A line that arrives late is seen, too."
  }
  assert {
    condition     = toset(keys(azurerm_monitor_metric_alert.dead_letter)) == toset(["vault-dead-lettered", "vault-dropped"])
    error_message = "Events that are lost have an alert."
  }
  assert {
    condition     = alltrue([for alert in azurerm_monitor_scheduled_query_rules_alert_v2.this : length(alert.action) == 1 && alert.enabled && alert.auto_mitigation_enabled])
    error_message = "Every alert is enabled, goes to the action group, and ends by itself."
  }
  assert {
    condition     = alltrue([for alert in azurerm_monitor_metric_alert.dead_letter : length(alert.action) == 1 && alert.enabled])
    error_message = "Lost events are told to the action group, too."
  }
  assert {
    condition     = alltrue([for alert in azurerm_monitor_scheduled_query_rules_alert_v2.this : !strcontains(alert.criteria[0].query, "$${") && startswith(alert.criteria[0].query, "let lines = traces\n")])
    error_message = "Every query begins with the lines of keyrelay, and has no hole."
  }
}

# Guards that no severity is higher than its condition: what runs on is 1, what can wait until the morning is 2.
run "severities" {
  command = plan

  assert {
    condition     = { for name, alert in azurerm_monitor_scheduled_query_rules_alert_v2.this : name => alert.severity } == { rotation-failed = 1, policy-quarantined = 2, keyrelay-troubled = 1, pending-too-long = 2, notice = 2, secret-expiring = 2, secret-expired = 1 }
    error_message = "A severity has changed."
  }
}

# Guards that a second secret has a message of its own: an alert without dimensions stays fired for the first one, and says
# nothing of the second.
run "one_alert_for_each_secret" {
  command = plan

  assert {
    condition = alltrue([
      for name in ["notice", "secret-expiring", "secret-expired"] :
      azurerm_monitor_scheduled_query_rules_alert_v2.this[name].criteria[0].dimension[0].name == "secret" && azurerm_monitor_scheduled_query_rules_alert_v2.this[name].criteria[0].dimension[0].values == tolist(["*"])
    ])
    error_message = "Each secret has its own alert."
  }
  assert {
    condition     = length(azurerm_monitor_scheduled_query_rules_alert_v2.this["rotation-failed"].criteria[0].dimension) == 0
    error_message = "A failure of many apps is one message."
  }
  assert {
    condition     = endswith(azurerm_monitor_scheduled_query_rules_alert_v2.this["notice"].criteria[0].query, "lines | where is_notice") && strcontains(azurerm_monitor_scheduled_query_rules_alert_v2.this["notice"].criteria[0].query, "is_notice = tobool(line.notice)")
    error_message = "A notice is found by its field."
  }
  assert {
    condition     = strcontains(azurerm_monitor_scheduled_query_rules_alert_v2.this["secret-expiring"].criteria[0].query, "join kind=leftanti noticed on run") && strcontains(azurerm_monitor_scheduled_query_rules_alert_v2.this["secret-expired"].criteria[0].query, "event endswith 'Expired'")
    error_message = "An expiry that a policy has reported is not told twice."
  }
}

# Guards the default: nobody is told, and no empty group is made.
run "no_addresses" {
  command = plan

  assert {
    condition     = length(azurerm_monitor_action_group.mail) == 0
    error_message = "There is no action group without addresses."
  }
  assert {
    condition     = alltrue([for alert in azurerm_monitor_scheduled_query_rules_alert_v2.this : length(alert.action) == 0])
    error_message = "Azure refuses an action without groups."
  }
}

# Guards e-mail: one variable is enough, and it does not replace the other groups.
run "addresses" {
  command = apply

  variables {
    alert_emails     = ["ops@contoso.com", "1a2b3c4d.contoso.com@emea.teams.ms"]
    action_group_ids = ["/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/ops/providers/Microsoft.Insights/actionGroups/night"]
  }

  assert {
    condition     = toset([for receiver in azurerm_monitor_action_group.mail[0].email_receiver : receiver.email_address]) == toset(var.alert_emails) && alltrue([for receiver in azurerm_monitor_action_group.mail[0].email_receiver : receiver.use_common_alert_schema])
    error_message = "Each address receives the common form of alerts."
  }
  assert {
    condition     = length(azurerm_monitor_action_group.mail[0].short_name) <= 12
    error_message = "Azure accepts 12 characters for the short name."
  }
  assert {
    condition     = alltrue([for alert in azurerm_monitor_scheduled_query_rules_alert_v2.this : toset(alert.action[0].action_groups) == toset(concat(tolist(var.action_group_ids), [azurerm_monitor_action_group.mail[0].id]))])
    error_message = "Both groups are told."
  }
  assert {
    condition     = alltrue([for alert in azurerm_monitor_metric_alert.dead_letter : length(alert.action) == 2])
    error_message = "Both groups are told of lost events."
  }
}

run "not_an_address" {
  command = plan

  variables {
    alert_emails = ["ops"]
  }
  expect_failures = [var.alert_emails]
}

# Guards alerts that are not wanted.
run "disabled_alerts" {
  command = plan

  variables {
    disabled_alerts = ["notice", "secret-expiring", "dropped"]
  }

  assert {
    condition     = toset([for name, alert in azurerm_monitor_scheduled_query_rules_alert_v2.this : name if !alert.enabled]) == toset(["notice", "secret-expiring"])
    error_message = "These are disabled, and no others."
  }
  assert {
    condition     = toset([for name, alert in azurerm_monitor_metric_alert.dead_letter : name if !alert.enabled]) == toset(["vault-dropped"])
    error_message = "An alert of a topic is disabled for each vault, by its name without the vault."
  }
}

# A name that is misspelled would leave its alert on.
run "disabled_by_a_wrong_name" {
  command = plan

  variables {
    disabled_alerts = ["rotation_failed"]
  }
  expect_failures = [var.disabled_alerts]
}
