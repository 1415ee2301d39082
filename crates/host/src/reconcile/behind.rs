//! Finds the apps that are behind their vaults, and why.

use std::collections::BTreeMap;

use jiff::Timestamp;
use keyrelay_azure::{Progress, ReferenceStatus};
use keyrelay_model::{
    AppId, Event, Evidence, Reference, SecretVersion, Target, VersionAttributes, error_chain,
};
use keyrelay_records::IndexChange;
use keyrelay_records::app_state::{self, AppState, RefreshCoverage};
use keyrelay_store::StoreError;

use super::comparison::{Comparison, Missed, SecretKey};
use super::drift::{Drift, drift_of, is_only, missed_event, valid_since};
use super::pass::Pass;
use super::pinned::{OlderPin, cause_of, report};
use super::reminders::{self, Expiring};
use super::summary::Summary;
use super::versions::{fetch_all, versions_of};
use super::watched::is_watched;
use crate::index::{SecretOf, secret_key};

/// The events that these apps seem to have missed. Reminders are postponed on the way, and what is up
/// to date is noted for the index.
pub(super) async fn behind(
    pass: &Pass<'_>,
    apps: Vec<(AppId, Vec<ReferenceStatus>)>,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> Vec<Missed> {
    let watched = |(app, rows): (AppId, Vec<ReferenceStatus>)| {
        let rows = rows.into_iter().filter_map(|row| {
            let target = target_of(pass, &row)?;
            is_watched(pass, comparison, &secret_of(&target), &app).then_some((row, target))
        });
        let rows: Vec<_> = rows.collect();
        (app, rows)
    };
    let apps: Vec<_> = apps.into_iter().map(watched).collect();
    let rows = apps.iter().flat_map(|(_, rows)| rows);
    let secrets = rows.map(|(_, target)| secret_of(target)).collect();
    fetch_all(pass, secrets, comparison, summary).await;
    let mut missed: BTreeMap<SecretKey, Missed> = BTreeMap::new();
    for (app, rows) in apps {
        let mut checked: BTreeMap<SecretKey, (SecretOf, Checked)> = BTreeMap::new();
        for (row, target) in &rows {
            let secret = secret_of(target);
            let key = secret_key(&secret);
            let found = check_row(pass, &app, row, target, comparison, summary).await;
            let joined = match checked.remove(&key) {
                Some((_, known)) => known.join(found),
                None => found,
            };
            checked.insert(key, (secret, joined));
        }
        for (key, (secret, found)) in checked {
            match found {
                Checked::Unknown => {}
                Checked::Current(version, evidence) => {
                    let (index, now) = (&pass.services.index, pass.services.now());
                    index.current(&secret, &app, &version, evidence, now);
                }
                Checked::Behind(event, OlderPin::Missed) => {
                    let of_secret = missed.entry(key).or_insert_with(|| Missed {
                        event: *event,
                        apps: Vec::new(),
                    });
                    of_secret.apps.push(app.clone());
                }
                Checked::Behind(_, OlderPin::NotAdopted) => summary.not_adopted += 1,
                Checked::Behind(event, OlderPin::SetBack(found)) => {
                    summary.set_back += 1;
                    let pinned = found.pinned.as_str();
                    if reported(pass, comparison, &app, &secret).await.as_deref() == Some(pinned) {
                        continue;
                    }
                    if let Err(error) = report(pass, &app, &key, &event, &found).await {
                        summary.problem(error_chain(&error));
                        continue;
                    }
                    let change = IndexChange::SetBack(Some(pinned.to_owned()));
                    pass.services.index.note(&secret, &app, change);
                }
            }
        }
    }
    missed.into_values().collect()
}

/// The result of the comparison of an app's references to one secret.
enum Checked {
    /// It is not known whether it is behind.
    Unknown,
    /// Nothing is left to do for this version.
    Current(SecretVersion, Option<Evidence>),
    /// It is behind: the event that the app seems to have missed, and the cause.
    Behind(Box<Event>, OlderPin),
}

impl Checked {
    /// Joins the results of two references to the same secret: a decision of a person about one holds
    /// for the other, and what is behind comes before what is not.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (known @ Self::Behind(_, OlderPin::NotAdopted | OlderPin::SetBack(_)), _) => known,
            (_, other @ Self::Behind(..)) => other,
            (known @ Self::Behind(..), _) => known,
            (Self::Current(version, one), Self::Current(_, other)) => {
                Self::Current(version, one.min(other))
            }
            _ => Self::Unknown,
        }
    }
}

/// The version of a secret that was set back in an app and reported already.
async fn reported(
    pass: &Pass<'_>,
    comparison: &Comparison,
    app: &AppId,
    secret: &SecretOf,
) -> Option<String> {
    let index = &pass.services.index;
    let moment = pass.run_deadline().moment();
    let users = index.users(secret, &[], moment).await;
    let users = users.unwrap_or_default().apps;
    let user = users.into_iter().find(|user| user.id == *app);
    let known = comparison.known.set_back(app, &secret_key(secret));
    let known = known.map(str::to_owned);
    user.and_then(|user| user.set_back).or(known)
}

fn secret_of(target: &Target) -> SecretOf {
    (target.vault_host.clone(), target.secret.clone())
}

fn target_of(pass: &Pass<'_>, row: &ReferenceStatus) -> Option<Target> {
    let suffix = &pass.services.config.cloud.vault_suffix;
    let reference = Reference::parse(&row.reference, suffix).ok()?;
    Some(reference.target().clone())
}

/// Compares one reference with its vault.
async fn check_row(
    pass: &Pass<'_>,
    app: &AppId,
    row: &ReferenceStatus,
    target: &Target,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> Checked {
    let now = u64::try_from(pass.services.now().as_second()).unwrap_or_default();
    let secret = secret_of(target);
    let key = secret_key(&secret);
    let versions = versions_of(pass, &secret, comparison, summary).await;
    let newest = versions.newest(now);
    let Some((version, attributes)) = newest.first().copied() else {
        return Checked::Unknown;
    };
    remind(pass, &secret, version, attributes, comparison, summary).await;
    let is_pending = comparison.is_pending(pass, app, &key).await;
    let drift = drift_of(row, target, &versions, &newest, now);
    let cause = match (is_pending, drift, &target.version) {
        (Err(error), ..) => Err(error),
        (Ok(true), ..) => return Checked::Unknown,
        (_, Drift::None, _) => return up_to_date(row, target, &newest),
        (_, Drift::Behind, Some(pinned)) => {
            let first = comparison.first;
            cause_of(pass, app, &key, pinned, attributes, &versions, first).await
        }
        (_, Drift::Behind, None) => Ok(OlderPin::Missed),
        (_, Drift::UnlessRefreshed, _) => match coverage_of(pass, app, &key, &newest).await {
            Ok(RefreshCoverage::Refreshed) => {
                return Checked::Current(version.clone(), Some(Evidence::RefreshedTwice));
            }
            // The run has failed, and says so.
            Ok(RefreshCoverage::Exhausted) => return Checked::Unknown,
            Ok(RefreshCoverage::Missing) => Ok(OlderPin::Missed),
            Err(error) => Err(error),
        },
    };
    match cause {
        Ok(cause) => {
            let event = missed_event(target, version, attributes, is_only(&newest, now));
            Checked::Behind(Box::new(event), cause)
        }
        Err(error) => {
            summary.problem(error_chain(&error));
            Checked::Unknown
        }
    }
}

/// What a reference shows that is not behind. One that does not work is read again.
fn up_to_date(
    row: &ReferenceStatus,
    target: &Target,
    newest: &[(&SecretVersion, &VersionAttributes)],
) -> Checked {
    if row.status.progress() != Progress::Resolved {
        return Checked::Unknown;
    }
    let shown = target.version.as_ref().or(row.active_version.as_ref());
    let mut versions = newest.iter().map(|(version, _)| *version);
    match shown {
        Some(shown) if versions.any(|version| version == shown) => {
            let evidence = match target.version {
                Some(_) => Evidence::Pinned,
                None => Evidence::ActiveVersion,
            };
            Checked::Current(shown.clone(), Some(evidence))
        }
        Some(_) => Checked::Unknown,
        // Azure has taken it by itself meanwhile, and names no version.
        None => versions.next().map_or(Checked::Unknown, |version| {
            Checked::Current(version.clone(), None)
        }),
    }
}

/// What keyrelay's refreshes of an app say about the newest version of a secret. Of several that the
/// vault does not order, the best one counts.
async fn coverage_of(
    pass: &Pass<'_>,
    app: &AppId,
    secret: &SecretKey,
    newest: &[(&SecretVersion, &VersionAttributes)],
) -> Result<RefreshCoverage, StoreError> {
    let state = pass
        .store
        .read_json::<AppState>(&app_state::key(app))
        .await?;
    let between = pass.services.config.refresh_timing.between();
    let coverage = |state: &AppState, version, attributes: &VersionAttributes| {
        let created = i64::try_from(valid_since(attributes)).unwrap_or(i64::MAX);
        // The vault counts whole seconds.
        let existed = Timestamp::from_second(created.saturating_add(1));
        state.refresh_coverage(secret, version, existed.unwrap_or(Timestamp::MAX), between)
    };
    let best = state.and_then(|(state, _)| {
        let newest = newest.iter();
        let all = newest.map(|(version, attributes)| coverage(&state, version, attributes));
        all.max()
    });
    Ok(best.unwrap_or(RefreshCoverage::Missing))
}

/// Postpones the reminder of a secret that is due, once for each part of a comparison.
pub(super) async fn remind(
    pass: &Pass<'_>,
    secret: &SecretOf,
    version: &SecretVersion,
    attributes: &VersionAttributes,
    comparison: &mut Comparison,
    summary: &mut Summary,
) {
    let Some(expires) = attributes.expires else {
        return;
    };
    if !comparison.reminded.insert(secret_key(secret)) {
        return;
    }
    let expiring = Expiring {
        vault_host: secret.0.clone(),
        secret: secret.1.clone(),
        version: version.clone(),
        expires,
    };
    let now = u64::try_from(pass.services.now().as_second()).unwrap_or_default();
    let (store, pending) = (&pass.store, &pass.pending);
    match reminders::remind(store, pending, &expiring, now).await {
        Ok(true) => summary.reminders += 1,
        Ok(false) => {}
        Err(error) => summary.problem(error_chain(&error)),
    }
}
