//! Checks of the store: its reachability, the last event, and pending work.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use keyrelay_config::StoreLocation;
use keyrelay_records::history::History;
use keyrelay_records::pending::{Pending, PendingWork};
use keyrelay_records::record::Cause;
use keyrelay_records::store;

use super::environment::Environment;
use super::finding::Findings;
use super::fix::Fix;
use crate::out;

/// The age from which pending work is reported: the timer should have finished it.
const TOO_LONG: SignedDuration = SignedDuration::from_hours(1);

/// The number of runs that are searched for the last event.
const RUNS: usize = 50;

pub(super) async fn check(environment: &Environment, findings: &mut Findings) {
    let Environment {
        config,
        folder,
        credential,
        http,
        ..
    } = environment;
    if let StoreLocation::Folder(path) = &config.store
        && !folder.join(path).is_dir()
    {
        let fix = "in Azure, set AzureWebJobsStorage__accountName or KEYRELAY_STORE; here, keyrelay-host makes the folder with its first event";
        return findings.bad(
            "store",
            format!("the folder {} is not there", folder.join(path).display()),
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
                format!(
                    "{store} can be read, and has runs of {}",
                    out::counted(days.len(), "day", "days")
                ),
            );
            last_event(&history, &days, findings).await;
        }
        Err(error) => {
            let principal = environment.principal_or_placeholder();
            let fix = Fix::from("make the container, and give the identity its role:")
                .then_command(format!(
                    "az role assignment create --assignee-object-id {principal} --assignee-principal-type \
                     ServicePrincipal --role \"Storage Blob Data Contributor\" --scope ID-OF-THE-CONTAINER"
                ));
            return findings.bad(
                "store",
                format!("{store} cannot be read: {}", out::chain(&error)),
                fix,
            );
        }
    }
    pending(&Pending::new(store), findings).await;
}

/// Looks for the last event in the newest runs. `days` are newest first, and so are the runs of a day.
async fn last_event(history: &History, days: &[String], findings: &mut Findings) {
    let mut examined = 0;
    for day in days {
        let Ok(runs) = history.of_day(day).await else {
            continue;
        };
        for id in &runs {
            examined += 1;
            if examined > RUNS {
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
    let fix = "set a new version of any secret in the vault, and run this again; if no event arrives, see `events`";
    findings.bad("last event", "no event has arrived yet", fix);
}

async fn pending(pending: &Pending, findings: &mut Findings) {
    let keys = match pending.list().await.map(|keys| keys.work) {
        Ok(keys) => keys,
        Err(error) => return findings.bad("pending", out::chain(&error), "see `store`"),
    };
    let mut late = Vec::new();
    for key in &keys {
        let Ok(Some(entry)) = pending.read::<PendingWork>(key.as_str()).await else {
            continue;
        };
        let oldest = entry.value.rotations.iter().min_by_key(|work| work.since);
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
    let fix = "check the reason; the function `Reconcile` continues them once a minute: check that it runs";
    findings.bad("pending", late.join("; "), fix);
}
