# An installation from before `vaults` keeps its resources. The key of `vault` in resources is `vault`.
# Only the two alerts of its topic get a new name, for which Azure replaces them.

moved {
  from = azurerm_eventgrid_system_topic.this[0]
  to   = azurerm_eventgrid_system_topic.this["vault"]
}

moved {
  from = azurerm_eventgrid_system_topic_event_subscription.this[0]
  to   = azurerm_eventgrid_system_topic_event_subscription.this["vault"]
}

moved {
  from = azurerm_role_definition.versions
  to   = azurerm_role_definition.versions[0]
}

moved {
  from = azurerm_role_assignment.versions
  to   = azurerm_role_assignment.versions["vault"]
}

moved {
  from = azurerm_role_assignment.dead_letter
  to   = azurerm_role_assignment.dead_letter["vault"]
}

moved {
  from = azurerm_monitor_diagnostic_setting.this["vault"]
  to   = azurerm_monitor_diagnostic_setting.this["vault/vault"]
}

moved {
  from = azurerm_monitor_diagnostic_setting.this["topic"]
  to   = azurerm_monitor_diagnostic_setting.this["topic/vault"]
}

moved {
  from = azurerm_monitor_metric_alert.dead_letter["dead-lettered"]
  to   = azurerm_monitor_metric_alert.dead_letter["vault-dead-lettered"]
}

moved {
  from = azurerm_monitor_metric_alert.dead_letter["dropped"]
  to   = azurerm_monitor_metric_alert.dead_letter["vault-dropped"]
}
