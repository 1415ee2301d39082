# The pages in the function app. Off, they have no route: the function that serves them is disabled, and keyrelay-host
# responds to nothing there.

locals {
  sign_in = {
    public = "https://login.microsoftonline.com"
    usgov  = "https://login.microsoftonline.us"
    china  = "https://login.partner.microsoftonline.cn"
  }

  # Both together: keyrelay believes the header with the user only where App Service authentication is on.
  ui_settings = merge(
    { AzureWebJobs_Ui_Disabled = tostring(!var.ui) },
    var.ui ? { KEYRELAY_UI = "true", KEYRELAY_UI_AUTHENTICATED = "true" } : {},
  )
}
