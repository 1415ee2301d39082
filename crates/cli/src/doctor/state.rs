//! The store: whether it can be reached, the last event, and what is pending.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use keyrelay_host::config::StorePlace;
use keyrelay_host::history::History;
use keyrelay_host::pending::{OpenWork, Pending};
use keyrelay_host::record::Cause;
use keyrelay_host::store;

use super::finding::Findings;
use super::surroundings::Surroundings;
use crate::out;

/// From when on pending work should have been looked at often enough.
const TOO_LONG: SignedDuration = SignedDuration::from_hours(1);

/// How many of the last runs are looked at to find one of an event.
const RUNS: usize = 50;

pub(super) async fn look(surroundings: &Surroundings, findings: &mut Findings) {
    let Surroundings {
        config,
        folder,
        credential,
        http,
        ..
    } = surroundings;
    if let StorePlace::Folder(place) = &config.store
        && !folder.join(place).is_dir()
    {
        let fix = "in Azure, set AzureWebJobsStorage__accountName or KEYRELAY_STORE; here, keyrelay-host makes the folder with its first event";
        return findings.bad(
            "store",
            format!("the folder {} is not there", folder.join(place).display()),
            fix,
        );
    }
    let opened = store::open(
        &config.store,
        Path::new(folder),
        &config.cloud,
        credential,
        http,
    );
    let store = match opened {
        Ok(store) => store,
        Err(error) => {
            return findings.bad(
                "store",
                format!("{error:#}"),
                "correct `store` (KEYRELAY_STORE)",
            );
        }
    };
    let history = History::new(store.clone());
    match history.days().await {
        Ok(days) => {
            findings.good(
                "store",
                format!("{store} can be read, and has runs of {} days", days.len()),
            );
            last_event(&history, &days, findings).await;
        }
        Err(error) => {
            let principal = surroundings.principal_or_placeholder();
            let fix = format!(
                "make the container, and give the identity its role: az role assignment create --assignee-object-id \
                 {principal} --assignee-principal-type ServicePrincipal --role \"Storage Blob Data Contributor\" --scope \
                 ID-OF-THE-CONTAINER"
            );
            return findings.bad(
                "store",
                format!("{store} cannot be read: {}", out::chain(&error)),
                fix,
            );
        }
    }
    pending(&Pending::new(store), findings).await;
}

async fn last_event(history: &History, days: &[String], findings: &mut Findings) {
    let mut looked_at = 0;
    for day in days.iter().rev() {
        let Ok(runs) = history.of_day(day).await else {
            continue;
        };
        for id in runs.iter().rev() {
            looked_at += 1;
            if looked_at > RUNS {
                return findings.good("last event", format!("none among the last {RUNS} runs"));
            }
            let Ok(run) = history.read(id).await else {
                continue;
            };
            if let (Cause::Event, Some(event)) = (run.cause, &run.event) {
                let words = format!("{} of {}, run {id}", event.event_type, event.name);
                return findings.good("last event", words);
            }
        }
    }
    let fix =
        "set a new version of any secret in the vault, and look again; if none comes, see `events`";
    findings.bad("last event", "no event has come yet", fix);
}

async fn pending(pending: &Pending, findings: &mut Findings) {
    let keys = match pending.open_work().await {
        Ok(keys) => keys,
        Err(error) => return findings.bad("pending", out::chain(&error), "see `store`"),
    };
    let mut late = Vec::new();
    for key in &keys {
        let Ok(Some(entry)) = pending.read::<OpenWork>(key).await else {
            continue;
        };
        let oldest = entry.value.works.iter().min_by_key(|work| work.since);
        if let Some(work) =
            oldest.filter(|work| Timestamp::now().duration_since(work.since) > TOO_LONG)
        {
            late.push(format!(
                "{} since {:.0}: {}",
                entry.value.app, work.since, work.reason
            ));
        }
    }
    if late.is_empty() {
        return findings.good(
            "pending",
            format!(
                "{} rotations are open, none for more than an hour",
                keys.len()
            ),
        );
    }
    let fix = "look at the reason; the function `Reconcile` goes on with them every 5 minutes: does it run?";
    findings.bad("pending", late.join("; "), fix);
}
