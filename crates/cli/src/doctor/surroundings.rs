//! Where keyrelay is: its configuration, who it is, and the way to Azure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use keyrelay_azure::{
    Call, Credential, Deadline, Http, Identity, KeyVault, ResourceManager, Scope,
};
use keyrelay_host::config::{Config, own_app};
use keyrelay_host::start;
use keyrelay_model::AppId;

use super::finding::Findings;
use crate::out;

/// How long a token may take.
const TOKEN: std::time::Duration = std::time::Duration::from_secs(15);

/// What everything else is looked at with.
pub(super) struct Surroundings {
    pub(super) folder: PathBuf,
    pub(super) config: Config,
    /// keyrelay's own function app, if it is known.
    pub(super) own: Option<AppId>,
    /// Whose rights matter, by the object id. None: those of whoever asks.
    pub(super) principal: Option<String>,
    pub(super) resource_manager: ResourceManager,
    pub(super) key_vault: KeyVault,
    pub(super) credential: Arc<Credential>,
    pub(super) http: Http,
    identity: Identity,
}

impl Surroundings {
    /// None if the configuration cannot be read: then nobody knows where to look.
    pub(super) async fn find(
        folder: &Path,
        site: Option<AppId>,
        principal: Option<String>,
        call: &Call,
        findings: &mut Findings,
    ) -> anyhow::Result<Option<Self>> {
        let environment = environment();
        let http = Http::new().context("cannot make an HTTP client")?;
        let mut settings = environment.clone();
        let mut of_site = None;
        if let Some(site) = &site {
            // First without the site's settings, which are what is looked for; the cloud is in the environment, or public.
            let config = start::configuration(Path::new(""), &environment).ok();
            let cloud = config
                .as_ref()
                .map_or_else(keyrelay_azure::Cloud::public, |config| config.cloud.clone());
            let identity =
                start::identity(config.and_then(|config| config.client_id), &environment);
            let credential = Arc::new(Credential::new(identity, &http));
            let azure = ResourceManager::new(&cloud, credential, http.clone())?;
            match azure.settings(site, call).await {
                Ok(found) => {
                    let found = found.iter().filter(|(name, _)| is_ours(name.as_str()));
                    settings.extend(found.map(|(name, value)| (name.to_string(), value.expose().to_owned())));
                    findings.good("site", format!("the app settings of {site} were read"));
                }
                Err(error) => findings.bad(
                    "site",
                    format!("the app settings of {site} cannot be read: {}", out::chain(&error)),
                    "correct the id, or run this as somebody who may read them, such as with the role Website Contributor",
                ),
            }
            of_site = azure.principal(site, call).await.unwrap_or_default();
        }
        let mut config = match start::configuration(folder, &settings) {
            Ok(config) => config,
            Err(problems) => {
                for problem in problems {
                    findings.bad(
                        "configuration",
                        problem.to_string(),
                        "correct it: keyrelay-host does not start with it",
                    );
                }
                return Ok(None);
            }
        };
        findings.good(
            "configuration",
            format!(
                "keyrelay.toml and {} app settings can be used",
                count(&settings)
            ),
        );
        let own = site.or_else(|| own_app(&environment));
        if let (true, Some(own)) = (config.scope.is_empty(), &own) {
            config.scope = vec![Scope::group_of(own)];
        }
        let identity = start::identity(config.client_id.clone(), &environment);
        let credential = Arc::new(Credential::new(identity.clone(), &http));
        Ok(Some(Self {
            folder: folder.to_owned(),
            own,
            principal: principal.or(of_site),
            resource_manager: ResourceManager::new(
                &config.cloud,
                Arc::clone(&credential),
                http.clone(),
            )?,
            key_vault: KeyVault::new(&config.cloud, Arc::clone(&credential), http.clone())?,
            credential,
            http,
            identity,
            config,
        }))
    }

    /// Whether there is anybody to ask Azure as.
    pub(super) async fn has_identity(&self, findings: &mut Findings) -> bool {
        let audience = &self.config.cloud.resource_manager_audience;
        let who = match &self.identity {
            Identity::Managed { client_id: None } => {
                "the system-assigned managed identity".to_owned()
            }
            Identity::Managed {
                client_id: Some(id),
            } => format!("the managed identity with the client id {id}"),
            Identity::Workload { .. } => "the workload identity".to_owned(),
            Identity::Developer => "whoever is logged in here".to_owned(),
        };
        match self
            .credential
            .token(audience, Deadline::after(TOKEN))
            .await
        {
            Ok(_) => {
                findings.good(
                    "identity",
                    format!("{who} gets tokens for Resource Manager"),
                );
                true
            }
            Err(error) => {
                let fix = match &self.identity {
                    Identity::Developer => "run `az login`",
                    Identity::Workload { .. } => {
                        "federate the service account with the managed identity: see docs/webhook.md"
                    }
                    Identity::Managed { client_id: None } => {
                        "switch on the system-assigned identity of keyrelay's function app, or set `client_id`"
                    }
                    Identity::Managed { .. } => {
                        "assign that identity to keyrelay's function app, or correct `client_id` (KEYRELAY_CLIENT_ID)"
                    }
                };
                findings.bad(
                    "identity",
                    format!("{who} gets no token: {}", out::chain(&error)),
                    fix,
                );
                false
            }
        }
    }

    /// How the identity is named in a command.
    pub(super) fn principal_or_placeholder(&self) -> &str {
        self.principal
            .as_deref()
            .unwrap_or("OBJECT-ID-OF-KEYRELAYS-IDENTITY")
    }
}

fn count(settings: &BTreeMap<String, String>) -> usize {
    settings
        .keys()
        .filter(|name| name.starts_with("KEYRELAY_"))
        .count()
}

/// Whether the host would read it. No other setting is taken out of an app's settings.
fn is_ours(name: &str) -> bool {
    name.starts_with("KEYRELAY_") || name.starts_with("AzureWebJobsStorage__")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this command where the environment is read"
)]
fn environment() -> BTreeMap<String, String> {
    let text = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    text.filter(|(name, _)| {
        is_ours(name)
            || name.starts_with("WEBSITE_")
            || name.starts_with("IDENTITY_")
            || name == "AZURE_FEDERATED_TOKEN_FILE"
    })
    .collect()
}
