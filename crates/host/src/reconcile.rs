//! The reconcile timer: goes on with what is pending, and once an hour compares what apps have with what vaults have.
//!
//! Everything it does is a run like any other, with the same way through `decide`, `check`, `apply` and `verify`.

mod compare;
mod open_work;
mod postponed;
mod reminders;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_azure::Deadline;
use serde::{Deserialize, Serialize};

use crate::config::Mode;
use crate::outcome::chain;
use crate::record::{Cause, Run};
use crate::relay::Relay;

/// How long one invocation of the timer may take: less than the five minutes to the next.
const WITHIN: Duration = Duration::from_secs(240);

/// How long one run may take: enough for a refresh, which takes Azure about 15 s.
const ONE_RUN: Duration = Duration::from_secs(25);

/// How often apps are compared with vaults.
const COMPARE_EVERY: Duration = Duration::from_hours(1);

/// How long something may be pending.
const PATIENCE: Duration = Duration::from_hours(24);

/// Where the timer keeps what it did last.
const KEY: &str = "reconcile.json";

/// `reconcile.json`
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    /// When the last comparison of all apps began.
    compared: Option<Timestamp>,
    /// The site after which it goes on, when it did not get through all of them.
    after: Option<String>,
}

/// What one invocation of the timer did.
#[derive(Debug, Default)]
pub struct Summary {
    /// Why it did nothing, if so.
    idle: Option<&'static str>,
    /// Rotations that got their final verdict.
    finished: usize,
    /// Rotations and events that still wait.
    waiting: usize,
    /// Apps that were compared, if it was time to.
    compared: Option<usize>,
    /// References that were behind.
    drifted: usize,
    /// Reminders that were sent to policies.
    reminders: usize,
    /// Runs that were removed because of their age.
    pruned: usize,
    /// What went wrong, without keeping the rest from going on.
    problems: Vec<String>,
}

/// Does what the timer is for. An error is one that kept everything from being done.
pub(crate) async fn reconcile(relay: &Arc<Relay>, invocation: &str) -> Result<Summary, String> {
    let mut summary = Summary::default();
    if relay.config.mode == Mode::Off {
        summary.idle = Some("the mode is `off`");
    } else {
        let deadline = Deadline::after(WITHIN);
        let pass = Pass {
            relay,
            invocation,
            deadline,
        };
        let done = pass.go(&mut summary).await;
        if let Err(error) = done {
            let message = chain(&error);
            tracing::error!(invocation.id = invocation, "reconciling: {message}");
            return Err(message);
        }
    }
    tracing::info!(invocation.id = invocation, "reconciled: {summary}");
    Ok(summary)
}

/// One invocation of the timer.
struct Pass<'a> {
    relay: &'a Arc<Relay>,
    invocation: &'a str,
    deadline: Deadline,
}

impl Pass<'_> {
    async fn go(&self, summary: &mut Summary) -> Result<(), keyrelay_store::StoreError> {
        self.finish_open_work(summary).await?;
        self.handle_postponed(summary).await?;
        let now = Timestamp::now();
        let mut progress = self
            .relay
            .store
            .read_json::<Progress>(KEY)
            .await?
            .map(|(it, _)| it)
            .unwrap_or_default();
        // A time in the future is one that a wrong clock wrote.
        let is_recent = progress
            .compared
            .is_some_and(|at| at <= now && elapsed(at, now) < COMPARE_EVERY);
        if progress.after.is_none() && is_recent {
            return Ok(());
        }
        if progress.after.is_none() {
            progress.compared = Some(now);
        }
        match self.compare(progress.after.take(), summary).await {
            Some(after) => progress.after = after,
            // Nothing could be compared: the next invocation tries again.
            None => return Ok(()),
        }
        // The reminders that were found are events that wait.
        self.handle_postponed(summary).await?;
        if progress.after.is_none() {
            summary.pruned = self
                .relay
                .history
                .prune(self.relay.config.keep_runs, now)
                .await?;
        }
        self.relay.store.write(KEY, &progress).await
    }

    /// How long one run of this pass may take: nobody waits for the answer, but others for their turn.
    fn run_deadline(&self) -> Deadline {
        self.deadline.min(Deadline::after(ONE_RUN))
    }
}

impl Summary {
    fn problem(&mut self, message: String) {
        tracing::error!("reconciling: {message}");
        self.problems.push(message);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(idle) = self.idle {
            return write!(f, "nothing is done: {idle}");
        }
        write!(
            f,
            "{} finished, {} still pending",
            self.finished, self.waiting
        )?;
        if let Some(compared) = self.compared {
            write!(
                f,
                "; {compared} apps compared, {} references behind, {} reminders",
                self.drifted, self.reminders
            )?;
        }
        if self.pruned > 0 {
            write!(f, "; {} old runs removed", self.pruned)?;
        }
        match self.problems.as_slice() {
            [] => Ok(()),
            problems => write!(f, "; {} problems: {}", problems.len(), problems.join("; ")),
        }
    }
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// Whether everything in a run is done with.
fn is_final(run: &Run) -> bool {
    run.outcomes().all(crate::outcome::Outcome::is_final)
}

/// The cause of the run that takes something further.
fn cause_of(cause: Cause) -> Cause {
    match cause {
        Cause::Resubmit | Cause::Reminder => cause,
        Cause::Event | Cause::Pending | Cause::Drift => Cause::Pending,
    }
}
