//! The state of one part of a comparison.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keyrelay_model::{AppId, Event, VaultHost, Versions};
use keyrelay_records::{
    ComparisonProgress, KnownApps, PendingEntry, PendingKeys, PendingRotation, PendingWork, app_key,
};
use keyrelay_store::StoreError;

use super::pass::Pass;
use crate::index::SecretOf;

/// Time for which the sweep leaves an app to its pending work.
const JUST: SignedDuration = SignedDuration::from_mins(5);

/// A secret as `<vault host>/<name>` in lower case.
pub(super) type SecretKey = String;

/// Apps to compare, each with the secrets for which the index has it.
pub(super) type Apps = BTreeMap<AppId, Vec<SecretOf>>;

/// The state of one part of a comparison.
pub(super) struct Comparison {
    pub(super) versions: HashMap<SecretKey, Arc<Versions>>,
    /// Vaults whose versions could not be listed.
    pub(super) unreachable: HashSet<VaultHost>,
    pub(super) reminded: HashSet<SecretKey>,
    /// The keys of pending work, by app.
    pending: HashMap<String, Vec<String>>,
    /// The time at which the oldest pending work of an app began, by app.
    began_for: HashMap<String, Timestamp>,
    /// The secrets of the pending work that was read, by app.
    pending_secrets: HashMap<String, HashSet<SecretKey>>,
    /// The names of the policies, by which a secret has its rule.
    pub(super) policies: Vec<String>,
    /// The apps that an earlier keyrelay has found.
    pub(super) known: KnownApps,
    /// The time of the first comparison of this installation.
    pub(super) first: Timestamp,
    /// The time at which the comparison began.
    pub(super) began: Timestamp,
    pub(super) compared: usize,
    /// The resource groups whose slots were listed.
    pub(super) groups_with_slots: HashSet<String>,
    /// The apps and resource groups that could not be read for a passing reason, by their ids in lower
    /// case.
    pub(super) unread: BTreeSet<String>,
}

/// Apps that are behind, and the event that they seem to have missed.
pub(super) struct Missed {
    pub(super) event: Event,
    pub(super) apps: Vec<AppId>,
}

impl Comparison {
    /// Begins a part. `pending` tells which apps have pending work, which the timer resumes in its own
    /// time.
    pub(super) async fn begin(
        pass: &Pass<'_>,
        pending: &PendingKeys,
        progress: &ComparisonProgress,
    ) -> Result<Self, StoreError> {
        let mut by_app: HashMap<String, Vec<String>> = HashMap::new();
        let mut began_for: HashMap<String, Timestamp> = HashMap::new();
        for key in &pending.work {
            if let Some(app) = key.app() {
                let keys = by_app.entry(app.to_owned()).or_default();
                keys.push(key.as_str().to_owned());
                // An unreadable name counts as old.
                let began = key
                    .run()
                    .and_then(|run| run.began())
                    .unwrap_or(Timestamp::MIN);
                let oldest = began_for.entry(app.to_owned()).or_insert(began);
                *oldest = began.min(*oldest);
            }
        }
        // After its first sweep, an installation has an index.
        let known = match progress.swept {
            None => KnownApps::read(&pass.store).await?,
            Some(_) => KnownApps::default(),
        };
        Ok(Self {
            versions: HashMap::new(),
            unreachable: HashSet::new(),
            reminded: HashSet::new(),
            pending: by_app,
            began_for,
            pending_secrets: HashMap::new(),
            policies: pass.services.policies.names(),
            known,
            first: progress.first.unwrap_or(Timestamp::MIN),
            began: progress.compared.unwrap_or(Timestamp::MIN),
            compared: 0,
            groups_with_slots: HashSet::new(),
            unread: progress.unread.clone(),
        })
    }

    /// Whether a sweep leaves an app to its work, which is pending since a few minutes only: the timer reads
    /// the app in its own time, and notes for the index what it references. Work that stays keeps no app from
    /// being read, and a sweep that makes lost objects again reads all.
    pub(super) fn leaves_to_work(
        &self,
        progress: &ComparisonProgress,
        app: &AppId,
        now: Timestamp,
    ) -> bool {
        !progress.is_rebuilding
            && self.began_for.get(&app_key(app)).is_some_and(|began| {
                let since = now.duration_since(*began);
                !since.is_negative() && since < JUST
            })
    }

    /// Whether an app has pending work for a secret. Its objects are read when this is asked first.
    pub(super) async fn is_pending(
        &mut self,
        pass: &Pass<'_>,
        app: &AppId,
        secret: &SecretKey,
    ) -> Result<bool, StoreError> {
        let app = app_key(app);
        for key in self.pending.remove(&app).unwrap_or_default() {
            let entry: Option<PendingEntry<PendingWork>> = pass.pending.read(&key).await?;
            let works = entry.into_iter().flat_map(|entry| entry.value.rotations);
            let secrets = self.pending_secrets.entry(app.clone()).or_default();
            secrets.extend(works.map(|work| secret_of(&work)));
        }
        let secrets = self.pending_secrets.get(&app);
        Ok(secrets.is_some_and(|secrets| secrets.contains(secret)))
    }
}

fn secret_of(work: &PendingRotation) -> SecretKey {
    format!("{}/{}", work.event.vault_host, work.event.name).to_lowercase()
}
