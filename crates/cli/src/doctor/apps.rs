//! Checks of the apps in the scope: their references, and the identity that resolves those.

use futures::{StreamExt, stream};
use keyrelay_azure::{AzureError, Call, Progress, ReferenceStatus, Scope, Site};
use keyrelay_model::AppId;

use super::environment::Environment;
use super::finding::{Findings, Subject, without_id};
use super::fix::{APPS, Fix};
use crate::out;

/// The number of apps that are checked concurrently.
const AT_ONCE: usize = 8;

/// An app that has references.
pub(super) struct App {
    pub(super) id: AppId,
    pub(super) references: Vec<ReferenceStatus>,
}

/// Checks all apps of the scope, and returns those with references.
pub(super) async fn check(
    environment: &Environment,
    call: &Call,
    findings: &mut Findings,
) -> Vec<App> {
    let sites = sites(environment, call, findings).await;
    let checked = stream::iter(&sites)
        .map(|site| of_site(environment, site, call))
        .buffered(AT_ONCE);
    let checked: Vec<_> = checked.collect().await;
    let mut apps = Vec::new();
    for (site, checked) in sites.iter().zip(checked) {
        match checked {
            Ok(found) => {
                for app in found {
                    report(site, &app, findings);
                    apps.push(app);
                }
            }
            Err(error) => {
                let fix = "give the identity the right that the message names; see `rights`";
                let cause = without_id(&out::chain(&error), &site.id.to_string());
                findings.bad_for("references", &site.id, cause, fix);
            }
        }
    }
    if apps.is_empty() && !sites.is_empty() {
        let fix = "write a reference into an app's settings: @Microsoft.KeyVault(VaultName=VAULT;SecretName=SECRET)";
        let words = format!(
            "none of {} references a secret",
            out::counted(sites.len(), "app", "apps")
        );
        findings.bad("references", words, fix);
    }
    apps
}

/// The sites in the scope.
async fn sites(environment: &Environment, call: &Call, findings: &mut Findings) -> Vec<Site> {
    let mut sites = Vec::new();
    for scope in &environment.config.scope {
        match environment.resource_manager.sites(scope, call).await {
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
                fix(environment, scope, &error),
            ),
        }
    }
    if environment.config.scope.is_empty()
        && environment
            .config
            .rules
            .iter()
            .all(|rule| rule.apps.is_empty())
    {
        let fix = "set `scope` (KEYRELAY_SCOPE) to subscriptions or resource groups, or name apps in a rotation";
        findings.bad(
            "scope",
            "it is empty, and no rotation names apps: no app can be found",
            fix,
        );
    }
    sites
}

/// The site and its slots, if they have references.
async fn of_site(
    environment: &Environment,
    site: &Site,
    call: &Call,
) -> Result<Vec<App>, AzureError> {
    let azure = &environment.resource_manager;
    let slots = match site.may_have_slots() {
        true => azure.slots(&site.id, call).await?,
        false => Vec::new(),
    };
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

fn fix(environment: &Environment, scope: &Scope, error: &AzureError) -> Fix {
    if error.is_forbidden() {
        let principal = environment.principal_or_placeholder();
        let command = format!(
            "az role assignment create --assignee-object-id {principal} --assignee-principal-type ServicePrincipal \
             --role \"keyrelay patch (NAME)\" --scope {scope}"
        );
        return Fix::command(command)
            .then("(the role is made by the Terraform module; see `rights`)");
    }
    Fix::from("correct `scope` (KEYRELAY_SCOPE): subscriptions and resource groups by their ids")
}

fn report(site: &Site, app: &App, findings: &mut Findings) {
    let broken: Vec<&ReferenceStatus> = app
        .references
        .iter()
        .filter(|it| it.status.progress() != Progress::Resolved)
        .collect();
    if broken.is_empty() {
        findings.good_for("references", &app.id, "all references are resolved");
    }
    for reference in broken {
        let details = reference
            .details
            .as_deref()
            .map(|it| format!(" ({it})"))
            .unwrap_or_default();
        let cause = format!("{}{details}", reference.status);
        let subject = Subject::App {
            app: app.id.clone(),
            setting: Some(reference.setting.to_string()),
        };
        let cause = without_id(&cause, &app.id.to_string());
        findings.bad_for("references", subject, cause, reference.status.advice());
    }
    identity(site, app, findings);
}

/// Checks that the app has the identity that resolves its references.
fn identity(site: &Site, app: &App, findings: &mut Findings) {
    // The list has the identity of the site only.
    if app.id != site.id {
        return;
    }
    let has = |kind: &str| {
        site.identity
            .as_deref()
            .is_some_and(|kinds| kinds.to_lowercase().contains(kind))
    };
    const WHAT: &str = "identity of references";
    match site.reference_identity.as_deref() {
        Some(id) if id.contains('/') && !has("userassigned") => findings.bad_for(
            WHAT,
            &app.id,
            format!("`keyVaultReferenceIdentity` is {id}, which is not assigned to the app"),
            Fix::command(format!(
                "az webapp identity assign --ids {APPS} --identities {id}"
            )),
        ),
        Some(id) if id.contains('/') => findings.good_for(WHAT, &app.id, id),
        _ if has("systemassigned") => findings.good_for(WHAT, &app.id, "system-assigned"),
        _ => findings.bad_for(
            WHAT,
            &app.id,
            "references are resolved with the system-assigned identity, and there is none",
            Fix::command(format!("az webapp identity assign --ids {APPS}")),
        ),
    }
}
