//! The cloud and the identity, from keyrelay.toml and the environment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use keyrelay_azure::{Cloud, Credential, Http, RawClient, RequestLimits};
use keyrelay_config::{Config, identities};
use keyrelay_model::VaultHost;
use tokio::sync::watch;

use super::Calibrate;
use super::journal::Journal;
use super::rows::SecretId;
use super::session::{CALL, Session};
use crate::usage_error::OrUsageError;

/// The cloud to call, with a client for it.
pub(super) struct Target {
    cloud: Cloud,
    client: RawClient,
    secret: Option<SecretId>,
}

impl Target {
    /// Reads the configuration as keyrelay-host does.
    pub(super) fn find(command: &Calibrate) -> anyhow::Result<Self> {
        let variables = variables();
        let config = Config::load(&command.app, &variables).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow!("the configuration cannot be used: {}", problems.join("; "))
        });
        let Config {
            cloud, client_ids, ..
        } = config.or_usage_error()?;
        let http = Http::with_limits(RequestLimits {
            request: CALL + Duration::from_secs(1),
            ..RequestLimits::default()
        })
        .context("cannot make an HTTP client")?;
        let (identity, _) = identities(&client_ids, &variables);
        let credential = Credential::new(identity, &http);
        let client = RawClient::new(&cloud, Arc::new(credential), http)?;
        let secret = match (&command.vault, &command.secret) {
            (Some(vault), Some(secret)) => {
                let host = VaultHost::from_name(vault, &cloud.vault_suffix)
                    .context("`--vault` is not the name of a vault")
                    .or_usage_error()?;
                Some((host, secret.clone()))
            }
            _ => None,
        };
        Ok(Self {
            cloud,
            client,
            secret,
        })
    }

    /// The session in which the calls are made.
    pub(super) fn session(
        self,
        command: &Calibrate,
        interrupted: watch::Receiver<bool>,
    ) -> Session {
        let mut journal = Journal::new(&self.cloud.vault_suffix);
        journal.placeholders.of("site", command.site.site());
        if let Some((vault, secret)) = &self.secret {
            journal.placeholders.of("vault", vault.vault());
            journal.placeholders.of("secret", secret.as_str());
        }
        Session {
            client: self.client,
            cloud: self.cloud,
            site: command.site.clone(),
            slot: None,
            secret: self.secret,
            journal,
            may_be_disabled: false,
            interrupted,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this command where the environment is read"
)]
fn variables() -> BTreeMap<String, String> {
    let text = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.filter(|(name, _)| {
        name.starts_with("KEYRELAY_")
            || name.starts_with("AzureWebJobsStorage__")
            || name.starts_with("IDENTITY_")
            || name == "AZURE_FEDERATED_TOKEN_FILE"
    })
    .collect()
}
