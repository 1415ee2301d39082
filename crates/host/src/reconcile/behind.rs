//! Finds the apps that are behind their vaults, and why.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use jiff::Timestamp;
use keyrelay_azure::{Call, ReferenceStatus};
use keyrelay_config::{Mode, route};
use keyrelay_model::{
    AppId, Event, Reference, Retryability, SecretVersion, Target, VersionAttributes, Versions,
    error_chain,
};
use keyrelay_records::KnownApp;
use keyrelay_records::app_state::{self, AppState};
use keyrelay_store::StoreError;

use super::comparison::{Comparison, Missed, SecretKey};
use super::drift::{Drift, drift_of, missed_event, valid_since};
use super::pass::Pass;
use super::pinned::{OlderPin, cause_of, report};
use super::reminders::{self, Expiring};
use super::summary::Summary;
use crate::versions::versions;

/// The events that these apps seem to have missed. Reminders are postponed on the way.
pub(super) async fn behind(
    pass: &Pass<'_>,
    apps: Vec<(AppId, Vec<ReferenceStatus>)>,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> Vec<Missed> {
    let mut missed: BTreeMap<SecretKey, Missed> = BTreeMap::new();
    for (app, rows) in apps {
        let mut decided: BTreeMap<SecretKey, Decided> = BTreeMap::new();
        for row in &rows {
            let Some((key, found)) = check_row(pass, &app, row, comparison, summary).await else {
                continue;
            };
            // A decision about one reference holds for the others to the same secret.
            match decided.entry(key) {
                Entry::Vacant(vacant) => drop(vacant.insert(found)),
                Entry::Occupied(mut known) => known.get_mut().join(found),
            }
        }
        let reported = comparison.known.get(&app).map(|known| &known.set_back);
        let mut set_back = BTreeMap::new();
        for (secret, Decided { event, cause }) in &decided {
            if let OlderPin::SetBack(found) = cause {
                let is_known = reported
                    .and_then(|reported| reported.get(secret))
                    .is_some_and(|version| version == found.pinned.as_str());
                summary.set_back += 1;
                match is_known {
                    true => Ok(()),
                    false => report(pass, &app, secret, event, found).await,
                }
                .unwrap_or_else(|error| summary.problem(error_chain(&error)));
                set_back.insert(secret.clone(), found.pinned.to_string());
            }
        }
        let has_references = rows.iter().any(|row| target_of(pass, row).is_some());
        if has_references {
            comparison.found.push(KnownApp {
                id: app.clone(),
                seen: pass.services.now(),
                set_back,
            });
        }
        for (secret, Decided { event, cause }) in decided {
            match cause {
                OlderPin::Missed => missed
                    .entry(secret)
                    .or_insert_with(|| Missed {
                        event,
                        apps: Vec::new(),
                    })
                    .apps
                    .push(app.clone()),
                OlderPin::NotAdopted => summary.not_adopted += 1,
                OlderPin::SetBack(_) => {}
            }
        }
    }
    missed.into_values().collect()
}

/// A secret that an app is behind with, the event that it seems to have missed, and the cause.
struct Decided {
    event: Event,
    cause: OlderPin,
}

impl Decided {
    fn join(&mut self, other: Self) {
        if self.cause == OlderPin::Missed {
            *self = other;
        }
    }
}

fn target_of(pass: &Pass<'_>, row: &ReferenceStatus) -> Option<Target> {
    let suffix = &pass.services.config.cloud.vault_suffix;
    let reference = Reference::parse(&row.reference, suffix).ok()?;
    Some(reference.target().clone())
}

/// Compares one reference with its vault. None: it is not behind.
async fn check_row(
    pass: &Pass<'_>,
    app: &AppId,
    row: &ReferenceStatus,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> Option<(SecretKey, Decided)> {
    let target = target_of(pass, row)?;
    if !is_watched(pass, &target, app) {
        return None;
    }
    let now = u64::try_from(pass.services.now().as_second()).unwrap_or_default();
    let key = format!("{}/{}", target.vault_host, target.secret).to_lowercase();
    let versions = versions_of(pass, &key, &target, comparison, summary).await;
    let newest = versions.newest(now);
    let (version, attributes) = newest.first().copied()?;
    if comparison.reminded.insert(key.clone()) {
        remind(pass, &target, version, attributes, now, summary).await;
    }
    let app_key = app.to_string().to_lowercase();
    if comparison.pending.contains(&(app_key, key.clone())) {
        return None;
    }
    let cause = match (
        drift_of(row, &target, &versions, &newest, now),
        &target.version,
    ) {
        (Drift::None, _) => return None,
        (Drift::Behind, Some(pinned)) => {
            let first = comparison.first;
            cause_of(pass, app, &key, pinned, attributes, &versions, first).await
        }
        (Drift::Behind, None) => Ok(OlderPin::Missed),
        (Drift::UnlessRefreshed, _) => match has_refreshed(pass, app, &key, &newest).await {
            Ok(true) => return None,
            Ok(false) => Ok(OlderPin::Missed),
            Err(error) => Err(error),
        },
    };
    match cause {
        Ok(cause) => {
            let event = missed_event(&target, version, attributes, newest.len() == 1);
            Some((key, Decided { event, cause }))
        }
        Err(error) => {
            summary.problem(error_chain(&error));
            None
        }
    }
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

/// The versions of a secret, read once for each comparison. A vault that does not respond is asked
/// once.
async fn versions_of(
    pass: &Pass<'_>,
    key: &SecretKey,
    target: &Target,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> Arc<Versions> {
    if let Some(versions) = comparison.versions.get(key) {
        return Arc::clone(versions);
    }
    if comparison.unreachable.contains(&target.vault_host) {
        return Arc::default();
    }
    let call = Call::background(pass.run_deadline());
    let listed = versions(pass.services, &target.vault_host, &target.secret, &call).await;
    let listed = listed.unwrap_or_else(|error| {
        if error.retryability() == Retryability::Transient {
            summary.problem(error_chain(&error));
            comparison.unreachable.insert(target.vault_host.clone());
        }
        Arc::default()
    });
    comparison.versions.insert(key.clone(), Arc::clone(&listed));
    listed
}

/// Whether events of the secret would be handled for the app.
fn is_watched(pass: &Pass<'_>, target: &Target, app: &AppId) -> bool {
    let config = &pass.services.config;
    let vault = target.vault_host.vault();
    let is_allowed =
        config.vaults.is_empty() || config.vaults.iter().any(|allowed| allowed == vault);
    let route = route(
        config,
        &pass.services.policies.names(),
        vault,
        &target.secret,
    );
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
