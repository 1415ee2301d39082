//! The first lines of `keyrelay local`: endpoints, environment, and commands to copy.

use std::path::Path;

use keyrelay_local_azure::LocalAzure;

use crate::out;

/// Prints the endpoints, and commands to use them. `app` is the folder of the function app, and
/// `configuration` its file.
pub(super) fn announce(
    azure: &LocalAzure,
    vault: &str,
    subscription: &str,
    app: &Path,
    configuration: &Path,
) {
    out::line(&format!("function app      {}", app.display()));
    let resource_manager = azure.cloud.resource_manager_url();
    out::line(&format!(
        "Resource Manager  {resource_manager}  (subscription {subscription})"
    ));
    out::line(&format!(
        "Key Vault         {}",
        azure.cloud.key_vault_url()
    ));
    out::line(&format!("Functions host    {}", azure.functions_host.url()));
    out::line(&format!(
        "Log Analytics     {}",
        azure.cloud.log_analytics_url()
    ));
    if let Some(url) = azure.cloud.storage_url() {
        out::line(&format!("blob storage      {url}/keyrelay"));
    }
    out::line(&format!(
        "master key        {}",
        azure.functions_host.master_key()
    ));
    out::line("the first two accept HTTPS on the same ports: see --certificate");
    out::line(
        "the environment of keyrelay-host, for `keyrelay runs` and `keyrelay doctor` in another terminal:",
    );
    for (name, value) in &azure.environment {
        out::line(&format!("  export {name}='{value}'"));
    }
    out::line("rotate a secret:");
    out::line(&format!(
        "  curl -X PUT {resource_manager}local/vaults/{vault}/secrets/<name> -d <value>"
    ));
    out::line("run the timer now:");
    out::line(&format!(
        "  curl {}admin/functions/Reconcile -H 'x-functions-key: <master key>' -H 'content-type: application/json' -d '{{\"input\":\"\"}}'",
        azure.functions_host.url()
    ));
    out::line("show the requests to Azure, or switch on a fault:");
    out::line(&format!("  curl {resource_manager}local/requests"));
    out::line(&format!(
        "  curl {resource_manager}local/faults -d '{{\"service\":\"resource-manager\",\"times\":3,\"effect\":{{\"kind\":\"status\",\"status\":429,\"code\":\"TooManyRequests\"}}}}'"
    ));
    out::line(&format!(
        "a change of {} needs a new start of `keyrelay local`; changed policies are loaded at once",
        configuration.display()
    ));
    out::line("times are in UTC; `--log json` shows the lines of the Functions host as they are");
    out::line("Ctrl-C ends everything");
}
