//! The reconcile timer: resumes pending work, handles postponed events, and once an hour compares
//! the references of all apps with their vaults.
//!
//! Everything that it handles is a run, through the same pipeline.

mod compare;
mod drift;
mod pass;
mod pending_work;
mod postponed;
mod reminders;
mod summary;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::Deadline;
use keyrelay_config::Mode;
use keyrelay_model::{Verdict, error_chain};
use keyrelay_records::Outcome;
use keyrelay_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::services::Services;
use pass::{Pass, elapsed};
use summary::Summary;

/// Longest time for one invocation of the timer: less than the five minutes until the next one.
const TIMEOUT: Duration = Duration::from_secs(240);

/// Interval of comparisons.
const COMPARE_EVERY: Duration = Duration::from_hours(1);

/// The object in the store that holds the progress of the timer.
const KEY: &str = "reconcile.json";

/// The progress of the timer: `reconcile.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// The time at which the last comparison of all apps began.
    compared: Option<Timestamp>,
    /// The site after which the comparison continues, if there was no time for all.
    after: Option<String>,
}

/// Runs one invocation of the timer. The outcome is a failure if the store cannot be read or
/// written.
pub(crate) async fn reconcile(services: &Arc<Services>, invocation: &str) -> Outcome {
    let mut summary = Summary::default();
    if services.config.mode == Mode::Off {
        summary.idle = Some("the mode is `off`");
    } else {
        let pass = Pass::new(services, invocation, Deadline::after(TIMEOUT));
        if let Err(error) = run(&pass, &mut summary).await {
            let message = error_chain(&error);
            tracing::error!(invocation.id = invocation, "reconciling: {message}");
            return Outcome::transient(message);
        }
    }
    tracing::info!(invocation.id = invocation, "reconciled: {summary}");
    Outcome::new(Verdict::Unchanged, summary.to_string())
}

async fn run(pass: &Pass<'_>, summary: &mut Summary) -> Result<(), StoreError> {
    pending_work::resume(pass, summary).await?;
    postponed::handle(pass, summary).await?;
    let now = Timestamp::now();
    let store = &pass.store;
    let progress = store.read_json::<Progress>(KEY).await?;
    let mut progress = progress.map(|(progress, _)| progress).unwrap_or_default();
    // A time in the future was written by a wrong clock.
    let is_recent = progress
        .compared
        .is_some_and(|at| at <= now && elapsed(at, now) < COMPARE_EVERY);
    if progress.after.is_none() && is_recent {
        return Ok(());
    }
    if progress.after.is_none() {
        progress.compared = Some(now);
    }
    match compare::compare(pass, progress.after.take(), summary).await {
        Some(after) => progress.after = after,
        // Nothing could be compared: the next invocation tries again.
        None => return Ok(()),
    }
    // The reminders that the comparison found are postponed events.
    postponed::handle(pass, summary).await?;
    if progress.after.is_none() {
        let (keep, deadline) = (pass.services.config.keep_runs, pass.deadline.moment());
        summary.pruned = pass.history.prune(keep, now, deadline).await?;
    }
    // Without the deadline: the next invocation would compare the same sites again.
    pass.services.store.write(KEY, &progress).await
}
