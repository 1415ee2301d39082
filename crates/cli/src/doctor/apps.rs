//! The apps of the scope: whether they are found, how their references are, and with which identity.

use futures::{StreamExt, stream};
use keyrelay_azure::{AzureError, Call, Progress, ReferenceStatus, Scope, Site};
use keyrelay_model::AppId;

use super::finding::Findings;
use super::surroundings::Surroundings;
use crate::out;

/// How many apps are asked about side by side.
const AT_ONCE: usize = 8;

/// An app that has references.
pub(super) struct App {
    pub(super) id: AppId,
    pub(super) references: Vec<ReferenceStatus>,
}

/// Looks at all apps of the scope, and at those that rules name; returns those with references.
pub(super) async fn look(
    surroundings: &Surroundings,
    call: &Call,
    findings: &mut Findings,
) -> Vec<App> {
    let mut sites = Vec::new();
    for scope in &surroundings.config.scope {
        match surroundings.resource_manager.sites(scope, call).await {
            Ok(found) => {
                findings.good(
                    "scope",
                    format!("{scope} has {}", out::counted(found.len(), "app", "apps")),
                );
                sites.extend(found);
            }
            Err(error) => findings.bad(
                "scope",
                format!("{scope}: {}", out::chain(&error)),
                fix(surroundings, scope, &error),
            ),
        }
    }
    if surroundings.config.scope.is_empty()
        && surroundings
            .config
            .rules
            .iter()
            .all(|rule| rule.apps.is_empty())
    {
        let fix = "set `scope` (KEYRELAY_SCOPE) to subscriptions or resource groups, or name apps in a rotation";
        findings.bad(
            "scope",
            "it is empty, and no rotation names apps: no app will ever be found",
            fix,
        );
    }
    let looked_at = stream::iter(&sites)
        .map(|site| of_site(surroundings, site, call))
        .buffered(AT_ONCE);
    let looked_at: Vec<_> = looked_at.collect().await;
    let mut apps = Vec::new();
    for (site, answer) in sites.iter().zip(looked_at) {
        match answer {
            Ok(found) => {
                for app in found {
                    report(site, &app, findings);
                    apps.push(app);
                }
            }
            Err(error) => {
                let fix = "give the identity the right that the message names; see `rights`";
                findings.bad(
                    "references",
                    format!("{}: {}", site.id, out::chain(&error)),
                    fix,
                );
            }
        }
    }
    if apps.is_empty() && !sites.is_empty() {
        let fix = "write a reference into an app's settings: @Microsoft.KeyVault(VaultName=VAULT;SecretName=SECRET)";
        findings.bad(
            "references",
            format!(
                "none of {} references a secret",
                out::counted(sites.len(), "app", "apps")
            ),
            fix,
        );
    }
    apps
}

/// The site and its slots, those of them that have references.
async fn of_site(
    surroundings: &Surroundings,
    site: &Site,
    call: &Call,
) -> Result<Vec<App>, AzureError> {
    let azure = &surroundings.resource_manager;
    let slots = azure.slots(&site.id, call).await?;
    let mut apps = Vec::new();
    for id in [&site.id]
        .into_iter()
        .chain(slots.iter().map(|slot| &slot.id))
    {
        let references = azure.reference_statuses(id, call).await?;
        if !references.is_empty() {
            apps.push(App {
                id: id.clone(),
                references,
            });
        }
    }
    Ok(apps)
}

fn fix(surroundings: &Surroundings, scope: &Scope, error: &AzureError) -> String {
    if error.is_forbidden() {
        let principal = surroundings.principal_or_placeholder();
        return format!(
            "az role assignment create --assignee-object-id {principal} --assignee-principal-type ServicePrincipal \
             --role \"keyrelay patch (NAME)\" --scope {scope}  (the role is made by the Terraform module; see `rights`)"
        );
    }
    "correct `scope` (KEYRELAY_SCOPE): subscriptions and resource groups by their ids".to_owned()
}

fn report(site: &Site, app: &App, findings: &mut Findings) {
    let broken: Vec<&ReferenceStatus> = app
        .references
        .iter()
        .filter(|it| it.status.progress() != Progress::Resolved)
        .collect();
    if broken.is_empty() {
        findings.good(
            "references",
            format!("{}: {} resolved", app.id, app.references.len()),
        );
    }
    for reference in broken {
        let details = reference
            .details
            .as_deref()
            .map(|it| format!(" ({it})"))
            .unwrap_or_default();
        let words = format!(
            "{} {}: {}{details}",
            app.id, reference.setting, reference.status
        );
        findings.bad("references", words, reference.status.advice());
    }
    identity(site, app, findings);
}

/// Whether the identity that references are resolved with is one that the app has.
fn identity(site: &Site, app: &App, findings: &mut Findings) {
    // A list tells of the site; slots have identities of their own.
    if app.id != site.id {
        return;
    }
    let has = |kind: &str| {
        site.identity
            .as_deref()
            .is_some_and(|kinds| kinds.to_lowercase().contains(kind))
    };
    match site.reference_identity.as_deref() {
        Some(id) if id.contains('/') && !has("userassigned") => findings.bad(
            "identity of references",
            format!(
                "{}: `keyVaultReferenceIdentity` is {id}, which is not assigned to the app",
                app.id
            ),
            format!(
                "az webapp identity assign --ids {} --identities {id}",
                app.id
            ),
        ),
        Some(id) if id.contains('/') => {
            findings.good("identity of references", format!("{}: {id}", app.id))
        }
        _ if has("systemassigned") => {
            findings.good(
                "identity of references",
                format!("{}: system-assigned", app.id),
            );
        }
        _ => findings.bad(
            "identity of references",
            format!(
                "{}: references are resolved with the system-assigned identity, and it has none",
                app.id
            ),
            format!("az webapp identity assign --ids {}", app.id),
        ),
    }
}
