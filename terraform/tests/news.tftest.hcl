# Early news: Event Grid reports changes of apps, so that keyrelay does not wait for its hourly comparison.

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
  scopes = [
    "/subscriptions/00000000-0000-0000-0000-000000000001",
    "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop",
    "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/far",
  ]
}

# Guards the default: nothing is made, and Event Grid charges nothing.
run "no_early_news" {
  command = apply

  assert {
    condition     = length(azurerm_eventgrid_system_topic.news) == 0 && length(azurerm_eventgrid_system_topic_event_subscription.news) == 0 && length(output.early_news_scopes) == 0
    error_message = "Early news is not wanted."
  }
}

# Guards both kinds of scopes, and one in another subscription, where this provider can create no topic.
run "early_news" {
  command = apply

  variables {
    early_news = true
  }

  assert {
    condition = { for scope, topic in azurerm_eventgrid_system_topic.news : scope => "${topic.topic_type} ${topic.location}" } == {
      "/subscriptions/00000000-0000-0000-0000-000000000001"                     = "Microsoft.Resources.Subscriptions global"
      "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop" = "Microsoft.Resources.ResourceGroups global"
    }
    error_message = "Each scope in this subscription has a topic of its kind, in no region."
  }
  assert {
    condition     = alltrue([for scope, topic in azurerm_eventgrid_system_topic.news : topic.source_resource_id == scope && length(topic.name) <= 50]) && length(distinct([for topic in azurerm_eventgrid_system_topic.news : topic.name])) == 2
    error_message = "Each topic has the events of its scope, and a name of its own."
  }
  assert {
    condition     = alltrue([for subscription in azurerm_eventgrid_system_topic_event_subscription.news : subscription.included_event_types == tolist(["Microsoft.Resources.ResourceWriteSuccess"])])
    error_message = "Only changes that have been made are reported."
  }
  assert {
    condition     = alltrue([for subscription in azurerm_eventgrid_system_topic_event_subscription.news : one(subscription.advanced_filter[0].string_contains).key == "subject" && one(subscription.advanced_filter[0].string_contains).values == tolist(["/providers/Microsoft.Web/sites/"])])
    error_message = "Only changes of apps are reported: a subscription has many others."
  }
  assert {
    condition     = alltrue([for subscription in azurerm_eventgrid_system_topic_event_subscription.news : one(subscription.advanced_filter[0].string_in).key == "data.operationName" && length(one(subscription.advanced_filter[0].string_in).values) == 4])
    error_message = "Deployments change no reference."
  }
  assert {
    condition     = alltrue([for subscription in azurerm_eventgrid_system_topic_event_subscription.news : endswith(subscription.azure_function_endpoint[0].function_id, "/functions/SecretEvent") && subscription.azure_function_endpoint[0].max_events_per_batch == 1])
    error_message = "The same function takes them."
  }
  assert {
    condition     = toset(output.early_news_scopes) == toset(keys(azurerm_eventgrid_system_topic_event_subscription.news)) && length(output.early_news_scopes) == 2
    error_message = "The output shows which scopes are covered."
  }
}

# Guards a scope that has a topic already: Azure refuses a second one.
run "existing_topic_of_a_scope" {
  command = apply

  variables {
    early_news = true
    early_news_topics = {
      "/subscriptions/00000000-0000-0000-0000-000000000001" = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/events/providers/Microsoft.EventGrid/systemTopics/of-the-subscription"
    }
  }

  assert {
    condition     = keys(azurerm_eventgrid_system_topic.news) == ["/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop"]
    error_message = "Only the other scope gets a topic."
  }
  assert {
    condition     = azurerm_eventgrid_system_topic_event_subscription.news["/subscriptions/00000000-0000-0000-0000-000000000001"].system_topic == "of-the-subscription" && azurerm_eventgrid_system_topic_event_subscription.news["/subscriptions/00000000-0000-0000-0000-000000000001"].resource_group_name == "events"
    error_message = "The subscription is at the existing topic."
  }
}

# Guards the first phase: Azure refuses a subscription to a function that is not there.
run "early_news_before_the_package" {
  command = apply

  variables {
    early_news = true
    subscribe  = false
  }

  assert {
    condition     = length(azurerm_eventgrid_system_topic_event_subscription.news) == 0
    error_message = "Nothing is subscribed yet."
  }
}
