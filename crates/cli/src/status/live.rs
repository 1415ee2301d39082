//! The state of the fleet as Azure shows it now: the references of the apps, and the versions in the vaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_azure::{
    AzureError, Call, Deadline, KeyVault, Progress, ReferenceStatus, ResourceManager,
    SecretVersionInfo,
};
use keyrelay_model::{AppId, Evidence, SecretName, SecretVersion, VaultHost, Versions};
use keyrelay_records::NewestVersion;
use keyrelay_records::fleet::{Fleet, State, Use};
use keyrelay_records::index::CurrentVersion;

use crate::azure_account::{AzureAccount, configuration};
use crate::out;

/// The number of apps, and of secrets, that are read at once.
const AT_ONCE: usize = 16;

/// Longest time for one app or secret, with the attempts at it.
const READ_TIMEOUT: Duration = Duration::from_mins(2);

/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);

/// A secret: the host of its vault, and its name.
type SecretOf = (String, String);

/// Compares the uses with Azure, and corrects their states. What cannot be read keeps its state, and is a warning.
pub(super) async fn compare(fleet: &mut Fleet) -> anyhow::Result<()> {
    let config = configuration(Path::new(""))?;
    let AzureAccount { http, credential } = AzureAccount::of(&config)?;
    let unusable = "the cloud in the configuration cannot be used";
    let azure = ResourceManager::new(&config.cloud, Arc::clone(&credential), http.clone());
    let azure = azure.context(unusable)?;
    let key_vault = KeyVault::new(&config.cloud, credential, http).context(unusable)?;
    let newest = newest_versions(&key_vault, fleet).await;
    let apps: BTreeSet<AppId> = fleet.uses.iter().map(|it| it.app.clone()).collect();
    let (all, mut progress) = (apps.len(), Instant::now());
    let reading = stream::iter(apps).map(|app| {
        let azure = &azure;
        async move {
            let call = Call::background(Deadline::after(READ_TIMEOUT));
            (azure.reference_statuses(&app, &call).await, app)
        }
    });
    let mut reading = reading.buffer_unordered(AT_ONCE);
    let mut found: BTreeMap<AppId, Result<Vec<ReferenceStatus>, AzureError>> = BTreeMap::new();
    while let Some((statuses, app)) = reading.next().await {
        found.insert(app, statuses);
        if progress.elapsed() > PROGRESS {
            out::note(&format!("{} of {all} apps are read", found.len()));
            progress = Instant::now();
        }
    }
    let now = Timestamp::now();
    for it in &mut fleet.uses {
        let newest = newest.get(&(it.vault.clone(), it.secret.clone()));
        if let Some(newest) = newest {
            it.newest = Some(Arc::clone(newest));
        }
        match found.get(&it.app) {
            Some(Ok(statuses)) => correct(it, statuses, newest.map(AsRef::as_ref), now),
            Some(Err(error)) if error.is_not_found() => {
                become_broken(it, "Azure does not have the app any more".to_owned(), now);
            }
            Some(Err(_)) | None => {}
        }
    }
    let failed = found
        .iter()
        .filter_map(|(app, it)| Some((app, it.as_ref().err()?)));
    let failed: Vec<_> = failed.filter(|(_, error)| !error.is_not_found()).collect();
    if let Some((app, error)) = failed.first() {
        let apps = out::counted(failed.len(), "app is", "apps are");
        let reason = error.explanation();
        ensure!(
            failed.len() < all,
            "no app could be read from Azure; {app}: {reason}"
        );
        out::warning(&format!(
            "{apps} shown as the store has them; {app}: {reason}"
        ));
    }
    fleet.sort();
    Ok(())
}

/// The newest version of each secret, as far as the vaults show it.
async fn newest_versions(
    key_vault: &KeyVault,
    fleet: &Fleet,
) -> BTreeMap<SecretOf, Arc<NewestVersion>> {
    let secrets = fleet
        .uses
        .iter()
        .map(|it| (it.vault.clone(), it.secret.clone()));
    let secrets: BTreeSet<SecretOf> = secrets.collect();
    let reading = stream::iter(secrets).map(|secret| async move {
        let (vault, name) = (
            secret.0.parse::<VaultHost>(),
            secret.1.parse::<SecretName>(),
        );
        let (Ok(vault), Ok(name)) = (vault, name) else {
            return (secret, Ok(None));
        };
        let call = Call::background(Deadline::after(READ_TIMEOUT));
        let listed = key_vault.versions(&vault, &name, &call).await;
        let newest = listed.map(|listed| {
            let known = listed
                .into_iter()
                .filter_map(SecretVersionInfo::with_attributes);
            let versions: Versions = known.collect();
            let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
            NewestVersion::of(&versions, now)
        });
        (secret, newest)
    });
    let mut reading = reading.buffer_unordered(AT_ONCE);
    let (mut found, mut warned) = (BTreeMap::new(), BTreeSet::new());
    while let Some((secret, newest)) = reading.next().await {
        match newest {
            Ok(Some(newest)) => drop(found.insert(secret, Arc::new(newest))),
            Ok(None) => {}
            Err(error) if warned.insert(secret.0.clone()) => out::warning(&format!(
                "the versions in {} are those of the store: {}",
                secret.0,
                error.explanation()
            )),
            Err(_) => {}
        }
    }
    found
}

/// Corrects the state of a use by what Azure shows of its app.
fn correct(
    it: &mut Use,
    statuses: &[ReferenceStatus],
    newest: Option<&NewestVersion>,
    now: Timestamp,
) {
    let row = statuses.iter().find(|row| {
        row.setting.as_str() == it.reference.setting && row.kind == it.reference.kind()
    });
    let Some(row) = row else {
        it.state = State::NotWatched;
        it.reason = "the app does not reference it any more".to_owned();
        return;
    };
    if row.status.progress() == Progress::Broken {
        let words = format!("Azure reports {}: {}", row.status, row.status.advice());
        return become_broken(it, words, now);
    }
    let pinned = row.secret_version.as_ref();
    let shown: Option<&SecretVersion> = pinned.or(row.active_version.as_ref());
    let Some(shown) = shown else { return };
    let evidence = match pinned {
        Some(_) => Evidence::Pinned,
        None => Evidence::ActiveVersion,
    };
    let known = it.current.as_ref().map(|current| current.version.as_str());
    if known != Some(shown.as_str()) {
        it.current = Some(CurrentVersion::new(shown.as_str(), Some(evidence), now));
    }
    let Some(newest) = newest else { return };
    let is_newest = newest.version == shown.as_str();
    match it.state {
        // A run has failed, or a person has decided: the version alone changes neither.
        State::Broken | State::SetBack | State::NotWatched => {}
        _ if !is_newest => {
            it.state = State::Behind;
            it.behind_since.get_or_insert(newest.created);
            it.reason = "Azure shows another version than the newest of the vault".to_owned();
        }
        State::Behind if !it.is_behind_by_version() => {}
        _ => it.mark_fresh(now),
    }
}

fn become_broken(it: &mut Use, reason: String, now: Timestamp) {
    if it.state != State::Broken {
        it.behind_since = Some(now);
    }
    it.state = State::Broken;
    it.reason = reason;
}
