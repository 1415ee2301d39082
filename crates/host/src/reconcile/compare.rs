//! Compares the references of all apps with their vaults: repairs what a missed event has left
//! behind, and finds what expires soon.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_azure::{AzureError, Call, ReferenceStatus};
use keyrelay_config::{Mode, route};
use keyrelay_model::{
    AppId, Event, Reference, SecretVersion, Target, VersionAttributes, Versions, error_chain,
};
use keyrelay_records::app_state::{self, AppState};
use keyrelay_records::{Cause, PendingEntry, PendingRotation, PendingWork};
use keyrelay_store::StoreError;

use super::drift::{Drift, drift_of, missed_event, valid_since};
use super::pass::Pass;
use super::reminders::{self, Expiring};
use super::summary::Summary;
use crate::pipeline::run::{Trigger, run};
use crate::versions::known_versions;

/// Number of sites that are read between two checks of the deadline.
const CHUNK: usize = 100;

/// A secret as `<vault host>/<name>` in lower case.
type SecretKey = String;

/// The state of one comparison.
#[derive(Default)]
struct Comparison {
    versions: HashMap<SecretKey, Arc<Versions>>,
    reminded: HashSet<SecretKey>,
    /// Pending work, by app and secret.
    pending: HashSet<(String, SecretKey)>,
}

/// Apps that are behind, and the event that they seem to have missed.
struct Missed {
    event: Event,
    apps: Vec<AppId>,
}

/// Compares all apps from the site after `after`. Returns the site after which the next comparison
/// continues, if there was no time for all; none at all if nothing could be compared.
pub(super) async fn compare(
    pass: &Pass<'_>,
    after: Option<String>,
    summary: &mut Summary,
) -> Option<Option<String>> {
    let impossible = |error: &dyn std::error::Error| {
        format!(
            "apps cannot be compared with their vaults: {}",
            error_chain(error)
        )
    };
    let sites = match sites(pass).await {
        Ok(sites) => sites,
        Err(error) => {
            summary.problem(impossible(&error));
            return None;
        }
    };
    let pending = match pending_work(pass).await {
        Ok(pending) => pending,
        Err(error) => {
            summary.problem(impossible(&error));
            return None;
        }
    };
    let mut comparison = Comparison {
        pending,
        ..Comparison::default()
    };
    let position = |site: &AppId| site.to_string().to_lowercase();
    let is_left = |site: &AppId| after.as_ref().is_none_or(|after| position(site) > *after);
    let left: Vec<AppId> = sites.into_iter().filter(is_left).collect();
    let mut last = after;
    let mut compared = 0;
    for chunk in left.chunks(CHUNK) {
        let apps = match pass.deadline.has_passed() {
            true => None,
            false => with_slots(pass, chunk, summary).await,
        };
        let Some(apps) = apps else {
            // The next invocation begins with this chunk.
            summary.compared = Some(compared);
            return Some(last);
        };
        compared += apps.len();
        for missed in behind(pass, apps, &mut comparison, summary).await {
            repair(pass, missed, summary).await;
        }
        last = chunk.last().map(position);
    }
    summary.compared = Some(compared);
    Some(None)
}

/// Runs the event that apps seem to have missed.
async fn repair(pass: &Pass<'_>, missed: Missed, summary: &mut Summary) {
    summary.drifted += missed.apps.len();
    let trigger = Trigger {
        invocation: pass.invocation.to_owned(),
        cause: Cause::Drift,
        of: None,
        apps: Some(missed.apps),
        is_retry: false,
        resumed: None,
    };
    run(pass.services, trigger, Ok(missed.event), pass.run_budget()).await;
}

/// The pending work by app and secret. The timer resumes it in its own time.
async fn pending_work(pass: &Pass<'_>) -> Result<HashSet<(String, SecretKey)>, StoreError> {
    let secret = |work: &PendingRotation| {
        format!("{}/{}", work.event.vault_host, work.event.name).to_lowercase()
    };
    let mut found = HashSet::new();
    for key in pass.pending.list().await?.work {
        let entry: Option<PendingEntry<PendingWork>> = pass.pending.read(key.as_str()).await?;
        if let Some(entry) = entry {
            let app = entry.value.app.to_lowercase();
            let works = entry.value.rotations.iter();
            found.extend(works.map(|work| (app.clone(), secret(work))));
        }
    }
    Ok(found)
}

/// The sites of the scope and the apps that rules name, in order.
async fn sites(pass: &Pass<'_>) -> Result<Vec<AppId>, AzureError> {
    let config = &pass.services.config;
    let call = Call::until(pass.deadline);
    let mut sites = Vec::new();
    for scope in &config.scope {
        let listed = pass.services.resource_manager.sites(scope, &call).await?;
        sites.extend(listed.into_iter().map(|site| site.id));
    }
    let named = config.rules.iter().flat_map(|rule| &rule.apps);
    sites.extend(named.cloned());
    sites.sort_by_cached_key(|site| site.to_string().to_lowercase());
    sites.dedup();
    Ok(sites)
}

/// Sites and their slots, each with the statuses of its references. None: there was no time for
/// all.
async fn with_slots(
    pass: &Pass<'_>,
    sites: &[AppId],
    summary: &mut Summary,
) -> Option<Vec<(AppId, Vec<ReferenceStatus>)>> {
    let concurrency = pass.services.config.apps_at_once;
    let azure = &pass.services.resource_manager;
    let call = &Call::until(pass.deadline);
    let slots = stream::iter(sites.to_vec()).map(|site| async move {
        match site.slot() {
            Some(_) => Ok(Vec::new()),
            None => azure.slots(&site, call).await,
        }
    });
    let mut apps = sites.to_vec();
    for slots in slots
        .buffer_unordered(concurrency)
        .collect::<Vec<_>>()
        .await
    {
        match slots {
            Ok(slots) => apps.extend(slots.into_iter().map(|slot| slot.id)),
            Err(error) if error.is_not_found() => {}
            Err(error) if error.is_deadline_exceeded() => return None,
            Err(error) => summary.problem(error_chain(&error)),
        }
    }
    apps.sort_by_cached_key(|app| app.to_string().to_lowercase());
    apps.dedup();
    apps.retain(|app| !pass.services.own_app.is(app));
    let statuses = stream::iter(apps)
        .map(|app| async move { (azure.reference_statuses(&app, call).await, app) });
    let statuses = statuses.buffer_unordered(concurrency);
    let mut found = Vec::new();
    for (statuses, app) in statuses.collect::<Vec<_>>().await {
        match statuses {
            Ok(statuses) => found.push((app, statuses)),
            Err(error) if error.is_not_found() => {}
            Err(error) if error.is_deadline_exceeded() => return None,
            Err(error) => summary.problem(error_chain(&error)),
        }
    }
    Some(found)
}

/// The events that these apps seem to have missed. Reminders are postponed on the way.
async fn behind(
    pass: &Pass<'_>,
    apps: Vec<(AppId, Vec<ReferenceStatus>)>,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> Vec<Missed> {
    let suffix = &pass.services.config.cloud.vault_suffix;
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    let mut missed: BTreeMap<SecretKey, Missed> = BTreeMap::new();
    let rows: Vec<(&AppId, &ReferenceStatus)> = apps
        .iter()
        .flat_map(|(app, rows)| rows.iter().map(move |row| (app, row)))
        .collect();
    for (app, row) in rows {
        let Ok(reference) = Reference::parse(&row.reference, suffix) else {
            continue;
        };
        let target = reference.target();
        if !is_watched(pass, target, app) {
            continue;
        }
        let key = format!("{}/{}", target.vault_host, target.secret).to_lowercase();
        let versions = versions_of(pass, &key, target, comparison).await;
        let newest = versions.newest(now);
        let Some((version, attributes)) = newest.first().copied() else {
            continue;
        };
        if comparison.reminded.insert(key.clone()) {
            remind(pass, target, version, attributes, now, summary).await;
        }
        let app_key = app.to_string().to_lowercase();
        let is_pending = comparison.pending.contains(&(app_key, key.clone()));
        let is_behind = match drift_of(row, target, &versions, &newest, now) {
            _ if is_pending => false,
            Drift::None => false,
            Drift::Behind => true,
            Drift::UnlessRefreshed => match has_refreshed(pass, app, &key, &newest).await {
                Ok(has_refreshed) => !has_refreshed,
                Err(error) => {
                    summary.problem(error_chain(&error));
                    false
                }
            },
        };
        if is_behind {
            let missed = missed.entry(key).or_insert_with(|| Missed {
                event: missed_event(target, version, attributes, newest.len() == 1),
                apps: Vec::new(),
            });
            if missed.apps.last() != Some(app) {
                missed.apps.push(app.clone());
            }
        }
    }
    missed.into_values().collect()
}

/// Whether keyrelay has refreshed an app since the newest version of a secret exists. Of several
/// that the vault does not order, one is enough.
async fn has_refreshed(
    pass: &Pass<'_>,
    app: &AppId,
    secret: &SecretKey,
    newest: &[(&SecretVersion, &VersionAttributes)],
) -> Result<bool, StoreError> {
    let state = pass
        .store
        .read_json::<AppState>(&app_state::key(app))
        .await?;
    let between = pass.services.config.refresh_timing.between();
    let has_refreshed = |state: &AppState, version, attributes: &VersionAttributes| {
        let created = i64::try_from(valid_since(attributes)).unwrap_or(i64::MAX);
        // The vault counts whole seconds.
        let existed = Timestamp::from_second(created.saturating_add(1));
        state.has_refreshed(secret, version, existed.unwrap_or(Timestamp::MAX), between)
    };
    Ok(state.is_some_and(|(state, _)| {
        let mut newest = newest.iter();
        newest.any(|(version, attributes)| has_refreshed(&state, version, attributes))
    }))
}

/// The versions of a secret, read once for each comparison.
async fn versions_of(
    pass: &Pass<'_>,
    key: &SecretKey,
    target: &Target,
    comparison: &mut Comparison,
) -> Arc<Versions> {
    if let Some(versions) = comparison.versions.get(key) {
        return Arc::clone(versions);
    }
    let call = Call::until(pass.run_deadline());
    let versions = known_versions(pass.services, &target.vault_host, &target.secret, &call).await;
    comparison
        .versions
        .insert(key.clone(), Arc::clone(&versions));
    versions
}

/// Whether events of the secret would be handled for the app.
fn is_watched(pass: &Pass<'_>, target: &Target, app: &AppId) -> bool {
    let config = &pass.services.config;
    let vault = target.vault_host.vault();
    let is_allowed =
        config.vaults.is_empty() || config.vaults.iter().any(|allowed| allowed == vault);
    let route = route(config, &pass.services.policies.names(), &target.secret);
    let is_named = route
        .rule
        .is_none_or(|rule| rule.apps.is_empty() || rule.apps.contains(app));
    is_allowed && is_named && route.mode != Mode::Off
}

async fn remind(
    pass: &Pass<'_>,
    target: &Target,
    version: &SecretVersion,
    attributes: &VersionAttributes,
    now: u64,
    summary: &mut Summary,
) {
    let Some(expires) = attributes.expires else {
        return;
    };
    let expiring = Expiring {
        vault_host: target.vault_host.clone(),
        secret: target.secret.clone(),
        version: version.clone(),
        expires,
    };
    let (store, pending) = (&pass.store, &pass.pending);
    match reminders::remind(store, pending, &expiring, now).await {
        Ok(true) => summary.reminders += 1,
        Ok(false) => {}
        Err(error) => summary.problem(error_chain(&error)),
    }
}
