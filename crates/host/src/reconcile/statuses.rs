//! Reads the statuses of the references of apps for the comparison.

use futures::{StreamExt, stream};
use keyrelay_azure::{Call, ReferenceStatus};
use keyrelay_model::{AppId, error_chain};
use keyrelay_records::IndexChange;

use super::compare::Apps;
use super::pass::Pass;
use super::summary::Summary;

/// The sites and their slots. None: there was no time for all.
pub(super) async fn with_slots(
    pass: &Pass<'_>,
    sites: Vec<AppId>,
    summary: &mut Summary,
) -> Option<Vec<AppId>> {
    let azure = &pass.services.resource_manager;
    let call = &Call::background(pass.deadline);
    let slots = stream::iter(sites.clone())
        .map(|site| async move { azure.slots(&site, call).await })
        .buffer_unordered(pass.services.config.apps_at_once);
    let mut apps = sites;
    for slots in slots.collect::<Vec<_>>().await {
        match slots {
            Ok(slots) => apps.extend(slots.into_iter().map(|slot| slot.id)),
            Err(error) if error.is_not_found() => {}
            Err(error) if error.is_deadline_exceeded() || pass.deadline.has_passed() => {
                return None;
            }
            Err(error) => summary.problem(error_chain(&error)),
        }
    }
    Some(apps)
}

/// The statuses of the references of these apps, without keyrelay's own, for the index too. None:
/// there was no time for all.
pub(super) async fn statuses(
    pass: &Pass<'_>,
    apps: Apps,
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
                for (vault, secret) in &secrets {
                    services.index.note(vault, secret, &app, IndexChange::Gone);
                }
            }
            Err(error) if error.is_deadline_exceeded() || pass.deadline.has_passed() => {
                return None;
            }
            // Only this app is left out.
            Err(error) => summary.problem(error_chain(&error)),
        }
    }
    Some(found)
}
