//! Changes of the index.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use keyrelay_model::{AppId, SecretName, VaultHost};

use super::{
    Apps, CurrentVersion, IndexedApp, IndexedReference, IndexedRule, NewestVersion, lower_id,
};

/// Time for which an app counts as seen without another write: a read that shows nothing new costs
/// no write then.
const SEEN_FOR: SignedDuration = SignedDuration::from_hours(1);

/// A change of what the index knows of one app and one secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexUpdate {
    /// The host of the vault.
    pub vault: VaultHost,
    /// The secret.
    pub secret: SecretName,
    /// The app.
    pub app: AppId,
    /// The change.
    pub change: IndexChange,
}

/// A change of what the index knows of a secret. It is not kept for one that no app references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUpdate {
    /// The host of the vault.
    pub vault: VaultHost,
    /// The secret.
    pub secret: SecretName,
    /// The change.
    pub change: SecretChange,
}

/// What has become known of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretChange {
    /// Its newest version, as the vault lists it.
    Newest(NewestVersion),
    /// The version that an event announces: the newest one, unless a newer one is known.
    Announced(NewestVersion),
    /// What the rules of the installation say.
    Rule(IndexedRule),
}

/// What has become known of an app and a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexChange {
    /// Azure has shown the references of the app to the secret.
    Found(Found),
    /// Azure does not have the app.
    Gone,
    /// The app has a version, or needs nothing for it.
    Current(CurrentVersion),
    /// A person has set the app back to this version, and that was reported. None: not any more.
    SetBack(Option<String>),
}

/// References that Azure has shown. None of them: the app does not reference the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The references of the app to the secret.
    pub references: Vec<IndexedReference>,
    /// Whether the connection strings were read too.
    pub with_connection_strings: bool,
    /// The time at which Azure showed them.
    pub at: Timestamp,
}

/// Applies the change of one app to the apps of a secret.
pub(super) fn apply(apps: &mut Apps, app: &AppId, change: &IndexChange) {
    let key = lower_id(app);
    match change {
        IndexChange::Found(found) => apply_found(apps, key, app, found),
        IndexChange::Gone => drop(apps.remove(&key)),
        IndexChange::Current(current) => {
            let known = apps.get_mut(&key);
            // A sweep may write what it has found before a rotation that began later.
            if let Some(known) = known.filter(|known| is_news(known.current.as_ref(), current)) {
                known.current = Some(current.clone());
                known.set_back = None;
            }
        }
        IndexChange::SetBack(version) => {
            if let Some(known) = apps.get_mut(&key) {
                known.set_back.clone_from(version);
            }
        }
    }
}

/// Whether a version is to be recorded: it is another one, or the evidence is as strong. Its time
/// alone is no news.
fn is_news(known: Option<&CurrentVersion>, new: &CurrentVersion) -> bool {
    known.is_none_or(|known| {
        let is_same = known.version == new.version;
        let is_weaker = known.evidence.is_some() && new.evidence.is_none();
        let is_other_evidence = known.evidence != new.evidence && !is_weaker;
        if is_same {
            is_other_evidence
        } else {
            known.at <= new.at
        }
    })
}

fn apply_found(apps: &mut BTreeMap<String, IndexedApp>, key: String, app: &AppId, found: &Found) {
    let mut references = found.references.clone();
    let known = apps.get(&key);
    if !found.with_connection_strings {
        let unread = known.into_iter().flat_map(|known| &known.references);
        references.extend(unread.filter(|it| it.is_connection_string).cloned());
    }
    references.sort();
    references.dedup();
    if references.is_empty() {
        apps.remove(&key);
        return;
    }
    let entry = apps.entry(key).or_insert_with(|| IndexedApp {
        id: app.clone(),
        references: Vec::new(),
        since: found.at,
        seen: found.at,
        current: None,
        set_back: None,
    });
    entry.references = references;
    if found.at.duration_since(entry.seen) > SEEN_FOR {
        entry.seen = found.at;
    }
}
