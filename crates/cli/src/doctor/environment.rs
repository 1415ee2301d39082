//! The environment of an installation: its configuration, its identity, and its clients for Azure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use keyrelay_azure::{
    Call, Credential, Deadline, Http, Identity, KeyVault, ResourceManager, Scope, identity_of,
};
use keyrelay_config::{Config, OwnApp, identities};
use keyrelay_model::AppId;

use super::finding::Findings;
use crate::out;

/// The time limit for a token.
const TOKEN: std::time::Duration = std::time::Duration::from_secs(15);

/// Stands for an object id that is not known.
const PLACEHOLDER: &str = "OBJECT-ID-OF-KEYRELAYS-IDENTITY";

/// The inputs of all checks.
pub(super) struct Environment {
    pub(super) folder: PathBuf,
    pub(super) config: Config,
    /// keyrelay's own function app, if known.
    pub(super) own: Option<AppId>,
    /// The object ids of the identities whose rights are checked, in the order of `client_ids`. None:
    /// the account that runs this command.
    principals: Vec<Option<String>>,
    pub(super) resource_manager: ResourceManager,
    pub(super) key_vault: KeyVault,
    pub(super) credential: Arc<Credential>,
    pub(super) http: Http,
    /// Each identity with its credential. The first one is `credential`.
    identities: Vec<(Identity, Arc<Credential>)>,
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
        let azure = azure_of_site(&variables, &http)?;
        if let Some(site) = &site {
            settings.extend(site_settings(&azure, site, call, findings).await);
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
        let principals = match (principal, &site) {
            (Some(principal), _) => vec![Some(principal); config.client_ids.len().max(1)],
            (None, Some(site)) => azure
                .principals(site, &config.client_ids, call)
                .await
                .unwrap_or_default(),
            (None, None) => Vec::new(),
        };
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
        let (first, others) = identities(&config.client_ids, &variables);
        let with_credential = |identity: Identity| {
            let credential = Arc::new(Credential::new(identity.clone(), &http));
            (identity, credential)
        };
        let (first, credential) = with_credential(first);
        let others: Vec<_> = others.into_iter().map(with_credential).collect();
        Ok(Some(Self {
            folder: folder.to_owned(),
            own,
            principals,
            resource_manager: ResourceManager::with_identities(
                &config.cloud,
                Arc::clone(&credential),
                others.iter().map(|(_, it)| Arc::clone(it)).collect(),
                http.clone(),
            )?,
            key_vault: KeyVault::new(&config.cloud, Arc::clone(&credential), http.clone())?,
            identities: [(first, Arc::clone(&credential))]
                .into_iter()
                .chain(others)
                .collect(),
            credential,
            http,
            config,
        }))
    }

    /// Whether each identity gets a token for Azure.
    pub(super) async fn has_identities(&self, findings: &mut Findings) -> bool {
        let mut all = true;
        for (identity, credential) in &self.identities {
            all &= self.gets_token(identity, credential, findings).await;
        }
        all
    }

    async fn gets_token(
        &self,
        identity: &Identity,
        credential: &Credential,
        findings: &mut Findings,
    ) -> bool {
        let audience = &self.config.cloud.resource_manager_audience;
        let who = match identity {
            Identity::Managed { client_id: None } => {
                "the system-assigned managed identity".to_owned()
            }
            Identity::Managed {
                client_id: Some(id),
            } => format!("the managed identity with the client id {id}"),
            Identity::Workload {
                client_id: Some(id),
                ..
            } => format!("the workload identity with the client id {id}"),
            Identity::Workload { .. } => "the workload identity".to_owned(),
            Identity::Developer => "the account of `az login`".to_owned(),
        };
        match credential.token(audience, Deadline::after(TOKEN)).await {
            Ok(_) => {
                findings.good(
                    "identity",
                    format!("{who} gets tokens for Resource Manager"),
                );
                true
            }
            Err(error) => {
                let fix = match identity {
                    Identity::Developer => "run `az login`",
                    Identity::Workload { .. } => {
                        "federate the service account with the managed identity: see docs/webhook.md"
                    }
                    Identity::Managed { client_id: None } => {
                        "switch on the system-assigned identity of keyrelay's function app, or set `client_id`"
                    }
                    Identity::Managed { .. } => {
                        "assign that identity to keyrelay's function app, or correct `client_id` (KEYRELAY_CLIENT_ID) or `client_ids` (KEYRELAY_CLIENT_IDS)"
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

    /// The object id of the identity that an app belongs to. None: the account that runs this command.
    pub(super) fn principal_of(&self, app: &AppId) -> Option<&str> {
        let identity = identity_of(app, self.config.client_ids.len());
        self.principals.get(identity)?.as_deref()
    }

    /// The client id of the identity that an app belongs to, if there are several.
    pub(super) fn client_id_of(&self, app: &AppId) -> Option<&str> {
        let ids = &self.config.client_ids;
        let id = ids.get(identity_of(app, ids.len()))?;
        (ids.len() > 1).then_some(id)
    }

    /// The object id of the identity that an app belongs to, for a command, or a placeholder.
    pub(super) fn principal_of_or_placeholder(&self, app: &AppId) -> String {
        match (self.principal_of(app), self.client_id_of(app)) {
            (Some(principal), _) => principal.to_owned(),
            (None, Some(client_id)) => format!("OBJECT-ID-OF-THE-IDENTITY-{client_id}"),
            (None, None) => PLACEHOLDER.to_owned(),
        }
    }

    /// The object ids of the identities, as far as they are known.
    pub(super) fn known_principals(&self) -> impl Iterator<Item = &str> {
        self.principals.iter().filter_map(Option::as_deref)
    }

    /// The object id of the first identity, for a command, or a placeholder.
    pub(super) fn principal_or_placeholder(&self) -> &str {
        let first = self.principals.first();
        first.and_then(Option::as_deref).unwrap_or(PLACEHOLDER)
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
    let client_ids = config.map_or_else(Vec::new, |config| config.client_ids);
    let (identity, _) = identities(&client_ids, variables);
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
