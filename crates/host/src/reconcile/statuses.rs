//! Reads the statuses of the references of apps for the comparison.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, stream};
use keyrelay_azure::{
    AzureError, Call, Deadline, ReferenceStatus, ResourceManager, Scope, SitesPage,
};
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

/// Longest time for one app, with all attempts. One that takes longer keeps no others from being compared.
const ONE_APP: Duration = Duration::from_secs(20);

/// The end of a read of one app.
enum Reading {
    Read(Vec<ReferenceStatus>),
    Failed(AzureError),
    /// There was no time for it.
    Late,
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
    let apps = apps
        .into_iter()
        .filter(|(app, _)| !services.own_app.is(app));
    let statuses = stream::iter(apps).map(|(app, secrets)| async move {
        (read(azure, &app, pass.deadline).await, app, secrets)
    });
    let mut statuses = statuses.buffer_unordered(services.config.apps_at_once);
    let mut found = Vec::new();
    while let Some((statuses, app, secrets)) = statuses.next().await {
        match statuses {
            Reading::Read(rows) => {
                let suffix = &services.config.cloud.vault_suffix;
                let now = services.now();
                services
                    .index
                    .seen(&app, &rows, true, &secrets, suffix, now);
                found.push((app, rows));
            }
            Reading::Failed(error) if error.is_not_found() => {
                for secret in &secrets {
                    services.index.note(secret, &app, IndexChange::Gone);
                }
            }
            Reading::Late => return None,
            Reading::Failed(error) => {
                if error.retryability() == Retryability::Transient {
                    unread.insert(app.to_string().to_lowercase());
                }
                summary.problem(error_chain(&error));
            }
        }
    }
    Some(found)
}

/// Reads the references of one app. A wait for the pace is no failure of the app.
async fn read(azure: &ResourceManager, app: &AppId, deadline: Deadline) -> Reading {
    loop {
        let call = Call::background(deadline.min(Deadline::after(ONE_APP)));
        let is_pace = |error: &AzureError| {
            let is_throttled = error.response().is_some_and(|it| it.status == 429);
            is_throttled || error.is_deadline_exceeded()
        };
        match azure.reference_statuses(app, &call).await {
            Ok(rows) => return Reading::Read(rows),
            Err(_) if deadline.has_passed() => return Reading::Late,
            // A token that would come too late is refused at once.
            Err(error) if is_pace(&error) => {
                tokio::time::sleep_until(call.deadline.moment()).await;
            }
            Err(error) => return Reading::Failed(error),
        }
    }
}
