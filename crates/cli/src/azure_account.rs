//! The account with which a command reads from Azure: the managed identity in Azure, and elsewhere that of
//! `az login`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use keyrelay_azure::{Credential, Http, Identity};
use keyrelay_config::Config;

/// The environment variables that say where the store and the cloud are. The others are for the host only:
/// an error in them must not prevent access to the run history.
const VARIABLES: [&str; 5] = [
    "KEYRELAY_CLOUD",
    "KEYRELAY_CLIENT_ID",
    "KEYRELAY_CLIENT_IDS",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__accountName",
];

/// A client for HTTP, with the credential for Azure.
pub(crate) struct AzureAccount {
    pub(crate) http: Http,
    pub(crate) credential: Arc<Credential>,
}

impl AzureAccount {
    /// The account, as the configuration tells it. No token is requested yet.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Self> {
        let identity = match variable("IDENTITY_ENDPOINT") {
            Some(_) => Identity::Managed {
                client_id: config.client_ids.first().cloned(),
            },
            None => Identity::Developer,
        };
        let http = Http::new().context("cannot make an HTTP client")?;
        let credential = Arc::new(Credential::new(identity, &http));
        Ok(Self { http, credential })
    }
}

/// Reads keyrelay.toml in a folder, and the variables that say where the store and the cloud are.
pub(crate) fn configuration(here: &Path) -> anyhow::Result<Config> {
    let value = |name: &str| Some((name.to_owned(), variable(name)?));
    let environment: BTreeMap<String, String> = VARIABLES.into_iter().filter_map(value).collect();
    Config::load(here, &environment).map_err(|problems| {
        let problems: Vec<String> = problems
            .iter()
            .map(|problem| format!("\n  {problem}"))
            .collect();
        anyhow!(
            "where the store is cannot be read from the configuration:{}",
            problems.concat()
        )
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this command where the environment is read"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
