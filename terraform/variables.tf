variable "name" {
  description = "Name of the function app, unique in Azure. All other resources are named after it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,38}[a-z0-9]$", var.name))
    error_message = "Use 4 to 40 lower-case letters, digits and dashes. Start with a letter, and do not end with a dash."
  }
}

variable "resource_group_name" {
  description = "Resource group of all resources. It must exist."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[\\p{L}\\p{N}_().-]{1,90}$", var.resource_group_name)) && !endswith(var.resource_group_name, ".")
    error_message = "Use the name of a resource group, not its id."
  }
}

variable "location" {
  description = "Region of keyrelay itself. It must offer the Flex Consumption plan."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9 ]+$", var.location))
    error_message = "Use a region, such as westeurope."
  }
}

variable "vault" {
  description = "Shorthand for `vaults` with one vault, whose system topic is in the resource group of keyrelay. Set either `vault` or `vaults`."
  type = object({
    id       = string
    location = string
    topic = optional(object({
      id           = string
      principal_id = string
    }))
    access_policies = optional(bool, false)
    subscribe       = optional(bool, true)
  })
  default = null

  validation {
    condition     = var.vault == null || can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.KeyVault/vaults/[^/]+$", var.vault.id))
    error_message = "`id` must be the resource id of a vault: /subscriptions/.../resourceGroups/.../providers/Microsoft.KeyVault/vaults/NAME."
  }

  validation {
    condition     = var.vault == null || can(regex("^[A-Za-z][A-Za-z0-9 ]+$", var.vault.location))
    error_message = "`location` must be the region of the vault, such as westeurope."
  }

  validation {
    condition     = try(var.vault.topic, null) == null || can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.EventGrid/systemTopics/[^/]+$", var.vault.topic.id))
    error_message = "`topic.id` must be the resource id of a system topic: /subscriptions/.../resourceGroups/.../providers/Microsoft.EventGrid/systemTopics/NAME."
  }

  validation {
    condition     = try(var.vault.subscribe, true) || try(var.vault.topic, null) == null
    error_message = "With `subscribe = false`, this module does not use the topic of the vault: remove `topic`."
  }
}

variable "vaults" {
  description = "The vaults whose events keyrelay handles. The key is a name of your choice, which is part of names of resources. `id` and `location` are the resource id and the region of the vault. A vault can have only one system topic: if it has one already, set `topic` to its resource id and to the object id of its identity, which writes undelivered events to the dead-letter container. `access_policies` is for a vault that uses access policies instead of Azure roles. `subscribe = false` leaves the topic and the event subscription to you, for a vault in another subscription."
  type = map(object({
    id       = string
    location = string
    topic = optional(object({
      id           = string
      principal_id = string
    }))
    access_policies = optional(bool, false)
    subscribe       = optional(bool, true)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = (var.vault == null) != (length(var.vaults) == 0)
    error_message = "Set either `vault`, for one vault, or `vaults`, for any number of them: one of the two, and not both."
  }

  validation {
    condition     = alltrue([for key in keys(var.vaults) : can(regex("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", key)) && length("${var.name}-${key}") <= 50])
    error_message = "A key of `vaults` has lower-case letters, digits and dashes, and begins and ends with a letter or a digit. Azure accepts up to 50 characters for the name of a topic, which is NAME-KEY: shorten the key or `name`."
  }

  validation {
    condition     = alltrue([for vault in var.vaults : can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.KeyVault/vaults/[^/]+$", vault.id))])
    error_message = "`id` must be the resource id of a vault: /subscriptions/.../resourceGroups/.../providers/Microsoft.KeyVault/vaults/NAME."
  }

  validation {
    condition     = length(distinct([for vault in var.vaults : lower(vault.id)])) == length(var.vaults)
    error_message = "Two entries of `vaults` have the same `id`. A vault has one system topic and needs one entry."
  }

  validation {
    condition     = alltrue([for vault in var.vaults : can(regex("^[A-Za-z][A-Za-z0-9 ]+$", vault.location))])
    error_message = "`location` must be the region of the vault, such as westeurope."
  }

  validation {
    condition     = alltrue([for vault in var.vaults : try(vault.topic, null) == null || can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.EventGrid/systemTopics/[^/]+$", vault.topic.id))])
    error_message = "`topic.id` must be the resource id of a system topic: /subscriptions/.../resourceGroups/.../providers/Microsoft.EventGrid/systemTopics/NAME."
  }

  validation {
    condition     = alltrue([for vault in var.vaults : vault.subscribe || try(vault.topic, null) == null])
    error_message = "With `subscribe = false`, this module does not use the topic of the vault: remove `topic`."
  }
}

variable "scopes" {
  description = "Ids of the subscriptions and resource groups in which keyrelay looks for apps, and on which it gets its role. All must be in one tenant."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.scopes) > 0
    error_message = "Name at least one subscription or resource group."
  }

  validation {
    condition     = alltrue([for scope in var.scopes : can(regex("(?i)^/subscriptions/[^/]+(/resourceGroups/[^/]+)?$", scope))])
    error_message = "A scope is /subscriptions/ID or /subscriptions/ID/resourceGroups/NAME."
  }
}

variable "permissions" {
  description = "What keyrelay may do to apps: `refresh` resolves references again, `patch` also writes app settings, with a role that can change the site's configuration, start command included."
  type        = string
  default     = "patch"
  nullable    = false

  validation {
    condition     = contains(["refresh", "patch"], var.permissions)
    error_message = "Choose `refresh` or `patch`."
  }
}

variable "mode" {
  description = "`enforce` applies decisions; `monitor` decides and records but changes nothing; `off` is the kill switch."
  type        = string
  default     = "enforce"
  nullable    = false

  validation {
    condition     = contains(["enforce", "monitor", "off"], var.mode)
    error_message = "Choose `enforce`, `monitor` or `off`."
  }
}

variable "identities" {
  description = "Number of identities with which keyrelay sends its requests. Azure counts requests for each identity, and keyrelay spreads the apps over them. Default: 0, the identity of the Functions host is the only one. All have the same roles on apps and vaults."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.identities >= 0 && var.identities <= 10 && floor(var.identities) == var.identities
    error_message = "Use a whole number from 0 to 10."
  }
}

variable "audit_workspace" {
  description = "The Log Analytics workspace that receives the audit logs of the vaults: its resource id, and its GUID (`workspace_id` of the resource, \"Workspace ID\" in the portal). keyrelay then looks there for reads of new versions, and gets the role Log Analytics Data Reader on it. Default: keyrelay reads no audit log."
  type = object({
    id           = string
    workspace_id = string
  })
  default = null

  validation {
    condition     = var.audit_workspace == null || can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.OperationalInsights/workspaces/[^/]+$", var.audit_workspace.id))
    error_message = "`id` must be the resource id of a workspace: /subscriptions/.../resourceGroups/.../providers/Microsoft.OperationalInsights/workspaces/NAME."
  }

  validation {
    condition     = var.audit_workspace == null || can(regex("(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.audit_workspace.workspace_id))
    error_message = "`workspace_id` must be the GUID of the workspace, not its name or resource id."
  }
}

variable "subscribe" {
  description = "Whether Event Grid delivers events. The functions must be deployed first, as `deploy.sh` does."
  type        = bool
  default     = true
  nullable    = false
}

variable "event_types" {
  description = "Event Grid's names of the event types to deliver. Default: all nine types for objects in a vault."
  type        = set(string)
  default = [
    "Microsoft.KeyVault.SecretNewVersionCreated",
    "Microsoft.KeyVault.SecretNearExpiry",
    "Microsoft.KeyVault.SecretExpired",
    "Microsoft.KeyVault.CertificateNewVersionCreated",
    "Microsoft.KeyVault.CertificateNearExpiry",
    "Microsoft.KeyVault.CertificateExpired",
    "Microsoft.KeyVault.KeyNewVersionCreated",
    "Microsoft.KeyVault.KeyNearExpiry",
    "Microsoft.KeyVault.KeyExpired",
  ]
  nullable = false

  validation {
    condition     = length(var.event_types) > 0 && alltrue([for type in var.event_types : can(regex("^Microsoft\\.KeyVault\\.(Secret|Certificate|Key)(NewVersionCreated|NearExpiry|Expired)$", type))])
    error_message = "An event type is Microsoft.KeyVault. followed by Secret, Certificate or Key, and then by NewVersionCreated, NearExpiry or Expired."
  }
}

variable "subject_begins_with" {
  description = "Prefix of the names of the objects whose events are delivered. Default: all objects."
  type        = string
  default     = null

  validation {
    condition     = var.subject_begins_with == null || can(regex("^[A-Za-z0-9-]+$", var.subject_begins_with))
    error_message = "Names in a vault contain only letters, digits and dashes. This is a prefix and not a pattern: write sql-, not sql-*."
  }
}

variable "early_news" {
  description = "Whether Event Grid also tells keyrelay when an app in `scopes` has been created or changed, so that a new reference is known within seconds. Default: the next sweep finds it, a day later at the latest."
  type        = bool
  default     = false
  nullable    = false
}

variable "early_news_topics" {
  description = "Existing system topics of `scopes`, for `early_news`: the resource id of the topic, by the scope as it is written there. A subscription or resource group can have only one system topic."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setsubtract(keys(var.early_news_topics), var.scopes)) == 0
    error_message = "A key of `early_news_topics` must be one of `scopes`, written in the same way."
  }

  validation {
    condition     = alltrue([for id in var.early_news_topics : can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.EventGrid/systemTopics/[^/]+$", id))])
    error_message = "Use the resource id of a system topic: /subscriptions/.../resourceGroups/.../providers/Microsoft.EventGrid/systemTopics/NAME."
  }
}

variable "ui" {
  description = "Whether the function app has the pages of `keyrelay ui`, at /api/ui, for users who sign in with Microsoft Entra and have the role `reader` or `operator` of the app registration `ui_client_id`."
  type        = bool
  default     = false
  nullable    = false
}

variable "ui_client_id" {
  description = "The client id of the app registration for `ui`, with the app roles `reader` and `operator`. The README says how to make it."
  type        = string
  default     = null

  validation {
    condition     = var.ui_client_id == null || can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.ui_client_id))
    error_message = "Use the application (client) id of the app registration, a GUID."
  }
}

variable "cloud" {
  description = "The cloud: `public`, `usgov` or `china`. Configure the provider for the same cloud."
  type        = string
  default     = "public"
  nullable    = false

  validation {
    condition     = contains(["public", "usgov", "china"], var.cloud)
    error_message = "Choose `public`, `usgov` or `china`."
  }
}

variable "app_settings" {
  description = "More app settings, such as KEYRELAY_LOG. They override those of this module. Do not put secrets here: keyrelay needs none."
  type        = map(string)
  default     = {}
  nullable    = false

  # Flex Consumption refuses these, or they break the app. AzureWebJobsStorage would override the identity-based settings.
  validation {
    condition = alltrue([
      for name in keys(var.app_settings) :
      !can(regex("(?i)^(AzureWebJobsStorage|FUNCTIONS_WORKER_RUNTIME|FUNCTIONS_EXTENSION_VERSION|WEBSITE_RUN_FROM_PACKAGE|WEBSITE_CONTENT.*|WEBSITE_TIME_ZONE|SCM_DO_BUILD_DURING_DEPLOYMENT)$", name))
    ])
    error_message = "AzureWebJobsStorage, FUNCTIONS_WORKER_RUNTIME, FUNCTIONS_EXTENSION_VERSION, WEBSITE_RUN_FROM_PACKAGE, WEBSITE_CONTENT*, WEBSITE_TIME_ZONE and SCM_DO_BUILD_DURING_DEPLOYMENT must not be set on Flex Consumption."
  }
}

variable "action_group_ids" {
  description = "Ids of the action groups that receive alerts. Default: none, so alerts are visible only in Azure Monitor."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.action_group_ids : can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.Insights/actionGroups/[^/]+$", id))])
    error_message = "Use the resource id of an action group: /subscriptions/.../resourceGroups/.../providers/Microsoft.Insights/actionGroups/NAME."
  }
}

variable "alert_emails" {
  description = "E-mail addresses that receive alerts, such as that of a person, a list, or a Teams channel. The module makes an action group for them, in addition to `action_group_ids`. Default: none."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "Use e-mail addresses, such as ops@contoso.com."
  }
}

variable "disabled_alerts" {
  description = "Names of alerts that are disabled. Default: none."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setsubtract(var.disabled_alerts, concat(keys(local.alerts), keys(local.losses)))) == 0
    error_message = "The alerts are ${join(", ", concat(keys(local.alerts), keys(local.losses)))}."
  }
}

variable "retention_days" {
  description = "Retention of the logs, in days."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.retention_days >= 30 && var.retention_days <= 730
    error_message = "Log Analytics keeps logs from 30 to 730 days."
  }
}

variable "tags" {
  description = "Tags for all resources that support them."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.tags) <= 50
    error_message = "Azure accepts up to 50 tags."
  }
}
