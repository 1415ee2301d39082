//! The environment of an installation: its configuration, its identity, and its clients for Azure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use keyrelay_azure::{
    Call, Credential, Deadline, Http, Identity, KeyVault, ResourceManager, Scope,
};
use keyrelay_config::{Config, OwnApp, identity};
use keyrelay_model::AppId;

use super::finding::Findings;
use crate::out;

/// The time limit for a token.
const TOKEN: std::time::Duration = std::time::Duration::from_secs(15);

/// The inputs of all checks.
pub(super) struct Environment {
    pub(super) folder: PathBuf,
    pub(super) config: Config,
    /// keyrelay's own function app, if known.
    pub(super) own: Option<AppId>,
    /// The object id of the identity whose rights are checked. None: the account that runs this
    /// command.
    pub(super) principal: Option<String>,
    pub(super) resource_manager: ResourceManager,
    pub(super) key_vault: KeyVault,
    pub(super) credential: Arc<Credential>,
    pub(super) http: Http,
    identity: Identity,
}

impl Environment {
    /// Reads the environment. None if the configuration cannot be read: no other check is possible
    /// then.
    pub(super) async fn find(
        folder: &Path,
        site: Option<AppId>,
        principal: Option<String>,
        call: &Call,
        findings: &mut Findings,
    ) -> anyhow::Result<Option<Self>> {
        let variables = variables();
        let http = Http::new().context("cannot make an HTTP client")?;
        let mut settings = variables.clone();
        let mut of_site = None;
        if let Some(site) = &site {
            let azure = azure_of_site(&variables, &http)?;
            settings.extend(site_settings(&azure, site, call, findings).await);
            of_site = azure.principal(site, call).await.unwrap_or_default();
        }
        let mut config = match Config::load(folder, &settings) {
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
        let found = OwnApp::find(config.own_app.as_ref(), &variables);
        if let Err(error) = &found {
            findings.bad(
                "configuration",
                error.to_string(),
                "keyrelay-host does not start without it",
            );
        }
        let own = site.or_else(|| found.ok()?.id().cloned());
        if let (true, Some(own)) = (config.scope.is_empty(), &own) {
            config.scope = vec![Scope::group_of(own)];
        }
        let identity = identity(config.client_id.clone(), &variables);
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

    /// Whether the identity gets a token for Azure.
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
            Identity::Developer => "the account of `az login`".to_owned(),
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

    /// The identity's object id for a command, or a placeholder.
    pub(super) fn principal_or_placeholder(&self) -> &str {
        self.principal
            .as_deref()
            .unwrap_or("OBJECT-ID-OF-KEYRELAYS-IDENTITY")
    }
}

/// The client that reads the site. The settings of the site are not known yet, so the cloud comes
/// from the environment, or is the public one.
fn azure_of_site(
    variables: &BTreeMap<String, String>,
    http: &Http,
) -> anyhow::Result<ResourceManager> {
    let config = Config::load(Path::new(""), variables).ok();
    let cloud = config
        .as_ref()
        .map_or_else(keyrelay_azure::Cloud::public, |config| config.cloud.clone());
    let identity = identity(config.and_then(|config| config.client_id), variables);
    let credential = Arc::new(Credential::new(identity, http));
    Ok(ResourceManager::new(&cloud, credential, http.clone())?)
}

/// The app settings of the site that keyrelay-host reads.
async fn site_settings(
    azure: &ResourceManager,
    site: &AppId,
    call: &Call,
    findings: &mut Findings,
) -> BTreeMap<String, String> {
    match azure.settings(site, call).await {
        Ok(found) => {
            findings.good("site", format!("the app settings of {site} were read"));
            let found = found.iter().filter(|(name, _)| is_ours(name.as_str()));
            found
                .map(|(name, value)| (name.to_string(), value.expose().to_owned()))
                .collect()
        }
        Err(error) => {
            findings.bad(
                "site",
                format!("the app settings of {site} cannot be read: {}", out::chain(&error)),
                "correct the id, or run this with an account that may read them, such as one with the role Website Contributor",
            );
            BTreeMap::new()
        }
    }
}

fn count(settings: &BTreeMap<String, String>) -> usize {
    settings
        .keys()
        .filter(|name| name.starts_with("KEYRELAY_"))
        .count()
}

/// Whether keyrelay-host reads this setting. Other settings of the app are ignored.
fn is_ours(name: &str) -> bool {
    name.starts_with("KEYRELAY_") || name.starts_with("AzureWebJobsStorage__")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this command where the environment is read"
)]
fn variables() -> BTreeMap<String, String> {
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
