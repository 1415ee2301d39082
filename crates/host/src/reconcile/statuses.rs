//! Reads the statuses of the references of apps for the comparison.

use futures::{StreamExt, stream};
use keyrelay_azure::{Call, ReferenceStatus};
use keyrelay_model::{AppId, error_chain};
use keyrelay_records::KnownApps;

use super::pass::Pass;
use super::summary::Summary;

/// The sites and their slots: those that Azure lists, and those that are known. None: there was no
/// time for all.
pub(super) async fn with_slots(
    pass: &Pass<'_>,
    sites: Vec<AppId>,
    known: &KnownApps,
    summary: &mut Summary,
) -> Option<Vec<AppId>> {
    let azure = &pass.services.resource_manager;
    let call = &Call::background(pass.deadline);
    let slots = stream::iter(sites.clone())
        .map(|site| async move { azure.slots(&site, call).await })
        .buffer_unordered(pass.services.config.apps_at_once);
    let is_slot = |app: &&AppId| app.slot().is_some() && sites.contains(&app.production());
    let known: Vec<AppId> = known
        .apps()
        .map(|known| &known.id)
        .filter(is_slot)
        .cloned()
        .collect();
    let mut apps = sites;
    for slots in slots.collect::<Vec<_>>().await {
        match slots {
            Ok(slots) => apps.extend(slots.into_iter().map(|slot| slot.id)),
            Err(error) if error.is_not_found() => {}
            Err(error) if error.is_deadline_exceeded() => return None,
            Err(error) => summary.problem(error_chain(&error)),
        }
    }
    apps.extend(known);
    Some(apps)
}

/// The statuses of the references of these apps, without keyrelay's own. Apps that Azure does not
/// have are added to `gone`. None: there was no time for all.
pub(super) async fn statuses(
    pass: &Pass<'_>,
    mut apps: Vec<AppId>,
    gone: &mut Vec<AppId>,
    summary: &mut Summary,
) -> Option<Vec<(AppId, Vec<ReferenceStatus>)>> {
    let azure = &pass.services.resource_manager;
    let call = &Call::background(pass.deadline);
    apps.sort_by_cached_key(|app| app.to_string().to_lowercase());
    apps.dedup();
    apps.retain(|app| !pass.services.own_app.is(app));
    let statuses = stream::iter(apps)
        .map(|app| async move { (azure.reference_statuses(&app, call).await, app) });
    let statuses = statuses.buffer_unordered(pass.services.config.apps_at_once);
    let mut found = Vec::new();
    for (statuses, app) in statuses.collect::<Vec<_>>().await {
        match statuses {
            Ok(statuses) => found.push((app, statuses)),
            Err(error) if error.is_not_found() => gone.push(app),
            Err(error) if error.is_deadline_exceeded() => return None,
            // Only this app is left out.
            Err(error) => summary.problem(error_chain(&error)),
        }
    }
    Some(found)
}
