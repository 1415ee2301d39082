//! Checks of each vault: where it is, what decides who may use it, and whether the versions of its
//! secrets can be listed.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use keyrelay_azure::{AccessPolicy, Call, Vault, VaultAccess};
use keyrelay_model::{SecretName, VaultHost};

use super::apps::App;
use super::environment::Environment;
use super::finding::{Findings, Subject, without_id};
use super::fix::{Fix, VAULT};
use crate::out;

/// The number of subscriptions or vaults that are read concurrently.
const AT_ONCE: usize = 8;

/// The secret that is asked for in a vault that no app references. Key Vault lists no versions of a
/// secret that does not exist, and refuses who may not list any.
const NO_SECRET: &str = "keyrelay-doctor";

/// The vaults whose events keyrelay handles.
pub(super) struct Vaults {
    /// Their names, in lower case: those of the configuration, and those that apps reference.
    pub(super) names: BTreeSet<String>,
    /// The subscriptions that were searched for them, in lower case.
    pub(super) subscriptions: BTreeSet<String>,
    /// Those that were found, by name.
    found: BTreeMap<String, Vault>,
    /// The reason why the vaults of a subscription cannot be listed, if there is one.
    unreadable: Option<String>,
}

/// Checks each vault.
pub(super) async fn check(
    environment: &Environment,
    apps: &[App],
    call: &Call,
    findings: &mut Findings,
) -> Vaults {
    let vaults = Vaults::find(environment, apps, call).await;
    let checks = stream::iter(&vaults.names).map(async |name| {
        let secret = secret_of(apps, name);
        (
            name,
            versions(environment, name, secret.as_ref(), call).await,
        )
    });
    let checks: Vec<_> = checks.buffered(AT_ONCE).collect().await;
    for (name, versions) in checks {
        let access = vaults.found.get(name).map(|vault| &vault.access);
        let kind = vaults.kind_of(name);
        match versions {
            Ok(listed) => findings.good("vault", format!("{name}: {listed}; {kind}")),
            Err(Refusal::Forbidden(words)) => {
                let fix = grant(environment, access);
                let cause = without_id(&format!("{words}; {kind}"), name);
                findings.bad_for("vault", Subject::Vault(name.clone()), cause, fix);
            }
            Err(Refusal::Other(words)) => findings.bad_for(
                "vault",
                Subject::Vault(name.clone()),
                without_id(&words, name),
                "correct the vault's name in `vaults` (KEYRELAY_VAULTS) or in the reference, and let keyrelay through the vault's firewall",
            ),
        }
        if let Some(VaultAccess::Policies(policies)) = access {
            check_get(environment, name, policies, findings);
        }
    }
    vaults
}

impl Vaults {
    /// Looks for the vaults in the subscriptions of the scope and of keyrelay itself, and then in all
    /// others that can be seen.
    async fn find(environment: &Environment, apps: &[App], call: &Call) -> Self {
        let scopes = environment.config.scope.iter();
        let scopes = scopes.map(|scope| scope.subscription().to_lowercase());
        let own = environment.own.iter();
        let own = own.map(|own| own.subscription().to_lowercase());
        let mut vaults = Self {
            names: names(environment, apps),
            subscriptions: BTreeSet::new(),
            found: BTreeMap::new(),
            unreadable: None,
        };
        if vaults.names.is_empty() {
            return vaults;
        }
        vaults
            .search(environment, scopes.chain(own).collect(), call)
            .await;
        if vaults.found.len() < vaults.names.len() {
            match environment.resource_manager.subscriptions(call).await {
                Ok(all) => {
                    let all = all.iter().map(|id| id.to_lowercase());
                    vaults.search(environment, all.collect(), call).await;
                }
                Err(error) => vaults.unreadable = Some(out::chain(&error)),
            }
        }
        vaults
    }

    /// Looks in these subscriptions, unless that was done already.
    async fn search(
        &mut self,
        environment: &Environment,
        mut within: BTreeSet<String>,
        call: &Call,
    ) {
        within.retain(|subscription| self.subscriptions.insert(subscription.clone()));
        let azure = &environment.resource_manager;
        let lists = stream::iter(&within).map(async |it| azure.vaults(it, call).await);
        let lists: Vec<_> = lists.buffered(AT_ONCE).collect().await;
        for list in lists {
            match list {
                Ok(list) => {
                    let list = list
                        .into_iter()
                        .map(|vault| (vault.name.to_lowercase(), vault));
                    self.found
                        .extend(list.filter(|(name, _)| self.names.contains(name)));
                }
                Err(error) => self.unreadable = Some(out::chain(&error)),
            }
        }
    }

    /// The subscription of a vault in lower case, if it was found.
    pub(super) fn subscription_of(&self, vault: &str) -> Option<String> {
        let id = &self.found.get(vault)?.id;
        Some(id.split('/').nth(2)?.to_lowercase())
    }

    /// What decides who may use a vault, in words.
    fn kind_of(&self, vault: &str) -> String {
        match (self.found.get(vault), &self.unreadable) {
            (Some(vault), _) => match &vault.access {
                VaultAccess::Roles => "kind: roles".to_owned(),
                VaultAccess::Policies(_) => "kind: access policies".to_owned(),
            },
            (None, unreadable) => {
                let reason = unreadable
                    .as_deref()
                    .unwrap_or("it is in none of the subscriptions that can be seen");
                format!(
                    "kind: unknown ({reason}): run this with the role Reader in its subscription, or see \
                     `az keyvault show --name {vault} --query properties.enableRbacAuthorization`: true are \
                     roles, false are access policies"
                )
            }
        }
    }
}

/// The vaults of the configuration, and those that apps reference, in lower case.
fn names(environment: &Environment, apps: &[App]) -> BTreeSet<String> {
    let configured = &environment.config.vaults;
    let references = apps.iter().flat_map(|app| &app.references);
    let referenced = references.filter_map(|it| it.vault_name.as_deref());
    // Who writes an app's settings chooses the text, and it becomes a part of commands to copy.
    let is_name = |vault: &&str| vault.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let referenced = referenced.filter(is_name);
    let referenced = referenced.map(str::to_lowercase);
    let configured = configured.iter().map(|vault| vault.to_lowercase());
    configured
        .chain(referenced.filter(|vault| environment.config.accepts_vault(vault)))
        .collect()
}

/// A secret of a vault that an app references.
fn secret_of(apps: &[App], vault: &str) -> Option<SecretName> {
    let references = apps.iter().flat_map(|app| &app.references);
    let of_vault = references.filter(|it| {
        let own = it.vault_name.as_deref();
        own.is_some_and(|own| own.eq_ignore_ascii_case(vault))
    });
    let mut secrets = of_vault.filter_map(|it| it.secret_name.as_deref()?.parse().ok());
    secrets.next()
}

/// The reason why versions cannot be listed.
enum Refusal {
    Forbidden(String),
    Other(String),
}

/// Lists the versions of a secret.
async fn versions(
    environment: &Environment,
    vault: &str,
    secret: Option<&SecretName>,
    call: &Call,
) -> Result<String, Refusal> {
    let suffix = &environment.config.cloud.vault_suffix;
    let invalid = || Refusal::Other("it is not the name of a vault".to_owned());
    let host: VaultHost = format!("{vault}.{suffix}").parse().map_err(|_| invalid())?;
    let probe = match secret {
        Some(secret) => secret.clone(),
        None => NO_SECRET.parse().map_err(|_| invalid())?,
    };
    match environment.key_vault.versions(&host, &probe, call).await {
        Ok(versions) => Ok(match secret {
            Some(secret) => {
                let count = versions.len();
                format!("the versions of {secret} can be listed: {count}")
            }
            None => "versions can be listed, and no app references a secret".to_owned(),
        }),
        Err(error) if error.is_forbidden() => {
            let of = secret.map_or_else(String::new, |secret| format!(" of {secret}"));
            let reason = out::chain(&error);
            Err(Refusal::Forbidden(format!(
                "the versions{of} cannot be listed: {reason}"
            )))
        }
        Err(error) => Err(Refusal::Other(out::chain(&error))),
    }
}

/// The command that lets keyrelay list versions in the vault of the finding, and nothing else.
fn grant(environment: &Environment, access: Option<&VaultAccess>) -> Fix {
    let principal = environment.principal_or_placeholder();
    let role = format!(
        "az role assignment create --assignee-object-id {principal} --assignee-principal-type \
         ServicePrincipal --role \"Key Vault Reader\" --scope \"$(az keyvault show --name {VAULT} --query id -o tsv)\""
    );
    let about_role =
        "(it shows no value; the Terraform module has a smaller role, `keyrelay versions`)";
    let policy = format!(
        "az keyvault set-policy --name {VAULT} --object-id {principal} --secret-permissions list"
    );
    let about_policy = "(never get, which shows values; the command replaces the other secret permissions of \
         this identity)";
    match access {
        Some(VaultAccess::Roles) => Fix::command(role).then(about_role),
        Some(VaultAccess::Policies(_)) => Fix::command(policy).then(about_policy),
        None => Fix::from("if the vault uses roles:")
            .then_command(role)
            .then(format!("{about_role}; if it uses access policies:"))
            .then_command(policy)
            .then(about_policy),
    }
}

/// Warns if an access policy lets keyrelay read values.
fn check_get(
    environment: &Environment,
    vault: &str,
    policies: &[AccessPolicy],
    findings: &mut Findings,
) {
    for principal in environment.known_principals() {
        let mut own = policies
            .iter()
            .filter(|policy| policy.object_id.eq_ignore_ascii_case(principal));
        if own.any(|policy| policy.allows("get")) {
            findings.warning(
                "vault",
                format!("{vault}: its access policy gives keyrelay's identity {principal} Get on secrets, which shows values: keyrelay never needs it"),
                Fix::command(format!("az keyvault set-policy --name {vault} --object-id {principal} --secret-permissions list")),
            );
        }
    }
}
