variable "name" {
  description = "Name of the function app, unique in Azure. Everything else that is made is named after it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,38}[a-z0-9]$", var.name))
    error_message = "Use 4 to 40 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash."
  }
}

variable "resource_group_name" {
  description = "Resource group that everything is made in. It has to be there."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[\\p{L}\\p{N}_().-]{1,90}$", var.resource_group_name)) && !endswith(var.resource_group_name, ".")
    error_message = "Give the name of a resource group, not its id."
  }
}

variable "location" {
  description = "Region of keyrelay itself. It has to have the Flex Consumption plan."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9 ]+$", var.location))
    error_message = "Give a region, such as westeurope."
  }
}

variable "vault" {
  description = "The vault whose events are taken: its resource id, and its region, in which the system topic has to be. A vault can have one system topic only: if it has one already, its resource id, and the object id of its identity, which puts away what cannot be delivered."
  type = object({
    id       = string
    location = string
    topic = optional(object({
      id           = string
      principal_id = string
    }))
  })
  nullable = false

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.KeyVault/vaults/[^/]+$", var.vault.id))
    error_message = "`id` has to be the resource id of a vault: /subscriptions/.../resourceGroups/.../providers/Microsoft.KeyVault/vaults/NAME."
  }

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9 ]+$", var.vault.location))
    error_message = "`location` has to be the region of the vault, such as westeurope."
  }

  validation {
    condition     = var.vault.topic == null || can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.EventGrid/systemTopics/[^/]+$", var.vault.topic.id))
    error_message = "`topic.id` has to be the resource id of a system topic: /subscriptions/.../resourceGroups/.../providers/Microsoft.EventGrid/systemTopics/NAME."
  }
}

variable "scopes" {
  description = "Ids of the subscriptions and resource groups in which apps are looked for, and on which keyrelay gets its role. All in one tenant."
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
  description = "What keyrelay may do to apps: `refresh` re-resolves references, `patch` may write app settings too."
  type        = string
  default     = "patch"
  nullable    = false

  validation {
    condition     = contains(["refresh", "patch"], var.permissions)
    error_message = "Choose `refresh` or `patch`."
  }
}

variable "mode" {
  description = "`enforce`; `monitor` decides, records and changes nothing; `off` is the kill switch."
  type        = string
  default     = "enforce"
  nullable    = false

  validation {
    condition     = contains(["enforce", "monitor", "off"], var.mode)
    error_message = "Choose `enforce`, `monitor` or `off`."
  }
}

variable "subscribe" {
  description = "Whether events are delivered. The functions have to be deployed before: `deploy.sh` sees to that."
  type        = bool
  default     = true
  nullable    = false
}

variable "event_types" {
  description = "The kinds of events that are delivered, by the names of Event Grid. Default: all nine of objects in a vault."
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
    error_message = "An event type is Microsoft.KeyVault. with Secret, Certificate or Key, and NewVersionCreated, NearExpiry or Expired behind it."
  }
}

variable "subject_begins_with" {
  description = "Only events of objects whose names begin with this are delivered. Default: all."
  type        = string
  default     = null

  validation {
    condition     = var.subject_begins_with == null || can(regex("^[A-Za-z0-9-]+$", var.subject_begins_with))
    error_message = "Names in a vault have letters, digits and dashes only. This is no pattern: write sql-, not sql-*."
  }
}

variable "cloud" {
  description = "The cloud: `public`, `usgov` or `china`. The provider has to be set up for the same."
  type        = string
  default     = "public"
  nullable    = false

  validation {
    condition     = contains(["public", "usgov", "china"], var.cloud)
    error_message = "Choose `public`, `usgov` or `china`."
  }
}

variable "app_settings" {
  description = "More app settings, such as KEYRELAY_LOG. They win over those of this module. No secrets: keyrelay needs none."
  type        = map(string)
  default     = {}
  nullable    = false

  # On Flex Consumption these are refused, or break the app; an AzureWebJobsStorage of ours would hide that of the identity.
  validation {
    condition = alltrue([
      for name in keys(var.app_settings) :
      !can(regex("(?i)^(AzureWebJobsStorage|FUNCTIONS_WORKER_RUNTIME|FUNCTIONS_EXTENSION_VERSION|WEBSITE_RUN_FROM_PACKAGE|WEBSITE_CONTENT.*|WEBSITE_TIME_ZONE|SCM_DO_BUILD_DURING_DEPLOYMENT)$", name))
    ])
    error_message = "AzureWebJobsStorage, FUNCTIONS_WORKER_RUNTIME, FUNCTIONS_EXTENSION_VERSION, WEBSITE_RUN_FROM_PACKAGE, WEBSITE_CONTENT*, WEBSITE_TIME_ZONE and SCM_DO_BUILD_DURING_DEPLOYMENT must not be set on Flex Consumption."
  }
}

variable "action_group_ids" {
  description = "Ids of the action groups that alerts go to. Default: alerts can be seen in Azure Monitor only."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.action_group_ids : can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.Insights/actionGroups/[^/]+$", id))])
    error_message = "An action group is named by its resource id: /subscriptions/.../resourceGroups/.../providers/Microsoft.Insights/actionGroups/NAME."
  }
}

variable "retention_days" {
  description = "How long logs are kept, in days."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.retention_days >= 30 && var.retention_days <= 730
    error_message = "Log Analytics keeps logs from 30 to 730 days."
  }
}

variable "tags" {
  description = "Tags of everything that can have tags."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.tags) <= 50
    error_message = "Azure takes up to 50 tags."
  }
}
