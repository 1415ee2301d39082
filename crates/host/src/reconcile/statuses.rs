//! Reads the statuses of the references of apps for the comparison.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use keyrelay_azure::{Call, ReferenceStatus, Scope, SitesPage};
use keyrelay_model::{AppId, Retryability, error_chain};
use keyrelay_records::IndexChange;

use super::comparison::{Apps, Comparison};
use super::pass::Pass;
use super::summary::Summary;

/// The sites of a page and their slots. None: there was no time for all.
///
/// The list of a resource group has its slots. The list of a subscription has none: each group with
/// a site that may have slots is listed once more.
pub(super) async fn with_slots(
    pass: &Pass<'_>,
    page: SitesPage,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> Option<Vec<AppId>> {
    let azure = &pass.services.resource_manager;
    let call = &Call::background(pass.deadline);
    let SitesPage { sites, slots, .. } = page;
    let groups: BTreeSet<String> = match &slots {
        Some(_) => BTreeSet::new(),
        None => sites
            .iter()
            .filter(|site| site.may_have_slots())
            .map(|site| Scope::group_of(&site.id).to_string().to_lowercase())
            .filter(|group| comparison.groups_with_slots.insert(group.clone()))
            .collect(),
    };
    let sites = sites.into_iter().chain(slots.into_iter().flatten());
    let mut apps: Vec<AppId> = sites.map(|site| site.id).collect();
    for group in groups {
        let Ok(group) = group.parse::<Scope>() else {
            continue;
        };
        match azure.group_sites_with_slots(&group, call).await {
            Ok(page) => {
                let slots = page.slots.into_iter().flatten();
                apps.extend(slots.map(|slot| slot.id));
            }
            Err(error) if error.is_not_found() => {}
            Err(error) if error.is_deadline_exceeded() || pass.deadline.has_passed() => {
                return None;
            }
            Err(error) => {
                if error.retryability() == Retryability::Transient {
                    comparison.unread.insert(group.to_string().to_lowercase());
                }
                summary.problem(error_chain(&error));
            }
        }
    }
    Some(apps)
}

/// The statuses of the references of these apps, without keyrelay's own, for the index too. None:
/// there was no time for all.
///
/// An app that cannot be read is left out. `unread` gets those that fail for a passing reason.
pub(super) async fn statuses(
    pass: &Pass<'_>,
    apps: Apps,
    unread: &mut BTreeSet<String>,
    summary: &mut Summary,
) -> Option<Vec<(AppId, Vec<ReferenceStatus>)>> {
    let services = pass.services;
    let azure = &services.resource_manager;
    let call = &Call::background(pass.deadline);
    let apps = apps
        .into_iter()
        .filter(|(app, _)| !services.own_app.is(app));
    let statuses = stream::iter(apps).map(|(app, secrets)| async move {
        (azure.reference_statuses(&app, call).await, app, secrets)
    });
    let mut statuses = statuses.buffer_unordered(services.config.apps_at_once);
    let mut found = Vec::new();
    while let Some((statuses, app, secrets)) = statuses.next().await {
        match statuses {
            Ok(rows) => {
                let suffix = &services.config.cloud.vault_suffix;
                let now = services.now();
                services
                    .index
                    .seen(&app, &rows, true, &secrets, suffix, now);
                found.push((app, rows));
            }
            Err(error) if error.is_not_found() => {
                for secret in &secrets {
                    services.index.note(secret, &app, IndexChange::Gone);
                }
            }
            Err(error) if error.is_deadline_exceeded() || pass.deadline.has_passed() => {
                return None;
            }
            Err(error) => {
                if error.retryability() == Retryability::Transient {
                    unread.insert(app.to_string().to_lowercase());
                }
                summary.problem(error_chain(&error));
            }
        }
    }
    Some(found)
}
