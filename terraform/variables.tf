variable "name" {
  description = "Name of the function app, unique in Azure. Everything else that is made is named after it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,38}[a-z0-9]$", var.name))
    error_message = "Use 3 to 40 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash."
  }
}

variable "resource_group_name" {
  description = "Resource group that everything is made in. It has to be there."
  type        = string
  nullable    = false
}

variable "location" {
  description = "Region of keyrelay itself. It has to have the Flex Consumption plan."
  type        = string
  nullable    = false
}

variable "vault" {
  description = "The vault whose events are taken: its resource id, and its region, in which the system topic has to be."
  type = object({
    id       = string
    location = string
  })
  nullable = false

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.KeyVault/vaults/[^/]+$", var.vault.id))
    error_message = "`id` has to be the resource id of a vault: /subscriptions/.../resourceGroups/.../providers/Microsoft.KeyVault/vaults/NAME."
  }
}

variable "scopes" {
  description = "Ids of the subscriptions and resource groups in which apps are looked for, and on which keyrelay gets its role."
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
}

variable "action_group_ids" {
  description = "The action groups that alerts go to. Default: alerts can be seen in Azure Monitor only."
  type        = set(string)
  default     = []
  nullable    = false
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
}
