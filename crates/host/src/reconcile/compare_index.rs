//! Compares the apps of the index with their vaults: the versions of each secret first, and then only
//! the apps that do not have the newest one.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keyrelay_model::{SecretName, VaultHost};
use keyrelay_records::{
    ComparisonProgress, IndexedApp, NewestVersion, SecretChange, SecretUsers, Users,
};
use keyrelay_store::StoreError;

use super::behind::remind;
use super::compare_apps::compare_apps;
use super::comparison::{Apps, Comparison};
use super::pass::Pass;
use super::summary::Summary;
use super::versions::{fetch_all, versions_of};
use super::watched::{indexed_rule, watched_route};
use crate::index::SecretOf;

/// Time before the beginning of a sweep in which an app counts as read by it: the index notes a read
/// to the hour.
const SEEN_TO: SignedDuration = SignedDuration::from_hours(1);

/// Compares the apps of the objects that are left, or of all. Returns false if there is no time for
/// all.
pub(super) async fn compare_index(
    pass: &Pass<'_>,
    progress: &mut ComparisonProgress,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> Result<bool, StoreError> {
    let mut left = match progress.shards.take() {
        Some(shards) => shards,
        None => {
            let shards = pass.index.shards().await?;
            let known = pass.index.state().await?.map(|state| state.shards);
            let mut known = known.into_iter().flatten();
            if let Some(lost) = known.find(|key| !shards.contains(key)) {
                summary.problem(format!(
                    "a part of the index is lost, and the next sweep makes it again: {lost} is missing"
                ));
                pass.pending.request_sweep().await?;
            }
            shards
        }
    };
    while let Some(key) = left.first() {
        let is_complete = !pass.deadline.has_passed()
            && compare_shard(pass, key, progress, comparison, summary).await?;
        if !is_complete {
            progress.shards = Some(left);
            return Ok(false);
        }
        left.remove(0);
    }
    Ok(true)
}

/// Compares the apps of one object of the index. Returns false if there is no time for all.
async fn compare_shard(
    pass: &Pass<'_>,
    key: &str,
    progress: &mut ComparisonProgress,
    comparison: &mut Comparison,
    summary: &mut Summary,
) -> Result<bool, StoreError> {
    let vault = key.split('/').nth(1).map(str::parse::<VaultHost>);
    let Some(Ok(vault)) = vault else {
        return Ok(true);
    };
    let mut secrets: Vec<(SecretOf, Option<NewestVersion>, Vec<IndexedApp>)> = Vec::new();
    for SecretUsers {
        secret: name,
        newest,
        rule,
        users,
    } in pass.index.secrets(key).await?
    {
        let apps = match users {
            Users::Apps(apps) => apps,
            Users::Unknown(reason) => {
                summary.problem(format!(
                    "a part of the index is lost, and the next sweep makes it again: {reason}"
                ));
                pass.pending.request_sweep().await?;
                continue;
            }
        };
        if let Ok(secret) = name.parse::<SecretName>() {
            let secret = (vault.clone(), secret);
            let now = indexed_rule(pass, comparison, &secret);
            if now != rule {
                let change = SecretChange::Rule(now);
                pass.services.index.note_secret(&secret, change);
            }
            secrets.push((secret, newest, apps));
        }
    }
    let watched = secrets.iter().map(|(secret, ..)| secret);
    let watched = watched.filter(|secret| watched_route(pass, comparison, secret).is_some());
    let watched = watched.cloned().collect();
    fetch_all(pass, watched, comparison, summary).await;
    let mut to_read = Apps::new();
    for (secret, known_newest, apps) in secrets {
        let is_watched = watched_route(pass, comparison, &secret).is_some();
        let now = u64::try_from(pass.services.now().as_second()).unwrap_or_default();
        let versions = match is_watched {
            true => versions_of(pass, &secret, comparison, summary).await,
            false => Arc::default(),
        };
        if let Some(newest) =
            NewestVersion::of(&versions, now).filter(|it| known_newest.as_ref() != Some(it))
        {
            let change = SecretChange::Newest(newest);
            pass.services.index.note_secret(&secret, change);
        }
        let newest = versions.newest(now);
        if let Some((version, attributes)) = newest.first() {
            remind(pass, &secret, version, attributes, comparison, summary).await;
        }
        let is_current = |app: &IndexedApp| {
            let current = app.current.as_ref().map(|current| current.version.as_str());
            newest.is_empty() || newest.iter().any(|(it, _)| Some(it.as_str()) == current)
        };
        let unseen_since = comparison.began.checked_sub(SEEN_TO);
        let unseen_since = unseen_since.unwrap_or(Timestamp::MIN);
        for app in apps {
            // It stays in the index: the scope may become larger again, and another instance may
            // have a larger one.
            if !pass.services.config.may_handle(&app.id) {
                continue;
            }
            // The sweep has read the others just now.
            let is_due = match progress.is_sweep {
                true => {
                    app.seen < unseen_since
                        && !comparison.leaves_to_work(progress, &app.id, pass.services.now())
                }
                false => !is_current(&app),
            };
            if is_due {
                to_read.entry(app.id).or_default().push(secret.clone());
            }
        }
    }
    Ok(compare_apps(pass, to_read, &mut progress.after, comparison, summary).await)
}
