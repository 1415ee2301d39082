terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source = "hashicorp/azurerm"
      # Every name in this module exists in 4.55 and in 5.x; the check in `check/` enforces that.
      version = ">= 4.55, < 6.0"
    }
  }
}
