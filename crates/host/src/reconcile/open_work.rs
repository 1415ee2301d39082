//! Rotations whose end is open: proven, taken back, or looked at again later.

use futures::future::join_all;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_model::{AppId, Event};
use keyrelay_store::StoreError;

use super::{PATIENCE, Pass, Summary, elapsed, is_final};
use crate::config::Mode;
use crate::order::Carried;
use crate::outcome::Outcome;
use crate::pending::{Entry, OpenWork, Work};
use crate::record::{Cause, Former, Run};
use crate::relay::Trigger;
use crate::route::route;
use crate::run_id::RunId;

/// What became of one work.
enum Done {
    /// It has its final verdict.
    Finished,
    /// It is kept in the store under another name.
    CarriedOn,
    /// It stays where it is.
    Stays(Box<Work>),
}

impl Pass<'_> {
    /// Goes on with all open work that is due, app by app.
    pub(super) async fn finish_open_work(&self, summary: &mut Summary) -> Result<(), StoreError> {
        let keys = self.relay.pending.open_work().await?;
        self.relay.metrics.pending(keys.len());
        let under_way =
            stream::iter(keys).map(|key| async move { (self.finish_entry(&key).await, key) });
        let mut under_way = under_way.buffer_unordered(self.relay.config.apps_at_once);
        while let Some((finished, key)) = under_way.next().await {
            match finished {
                Ok((finished, waiting)) => {
                    summary.finished += finished;
                    summary.waiting += waiting;
                }
                Err(message) => summary.problem(format!("{key}: {message}")),
            }
        }
        Ok(())
    }

    /// One entry: how many of its works were finished, and how many still wait.
    async fn finish_entry(&self, key: &str) -> Result<(usize, usize), String> {
        let words = |error: StoreError| crate::outcome::chain(&error);
        let entry: Option<Entry<OpenWork>> = self.relay.pending.read(key).await.map_err(words)?;
        let Some(mut entry) = entry else {
            return Ok((0, 0));
        };
        let app: AppId = entry
            .value
            .app
            .parse()
            .map_err(|error: keyrelay_model::AppIdError| error.to_string())?;
        let now = Timestamp::now();
        let (due, later): (Vec<Work>, Vec<Work>) = std::mem::take(&mut entry.value.works)
            .into_iter()
            .partition(|work| work.due <= now);
        if due.is_empty() && later.is_empty() {
            self.relay.pending.done(entry).await.map_err(words)?;
            return Ok((0, 0));
        }
        if due.is_empty() || self.deadline.has_passed() {
            return Ok((0, due.len() + later.len()));
        }
        let (mut finished, mut carried) = (0, 0);
        entry.value.works = later;
        // Together, so that they can share a write.
        for done in join_all(due.into_iter().map(|work| self.finish(key, &app, work))).await {
            match done {
                Done::Finished => finished += 1,
                Done::CarriedOn => carried += 1,
                Done::Stays(work) => entry.value.works.push(*work),
            }
        }
        let waiting = carried + entry.value.works.len();
        let left = match entry.value.works.is_empty() {
            true => self.relay.pending.done(entry).await,
            false => self.relay.pending.leave(entry).await,
        };
        left.map_err(words)?;
        Ok((finished, waiting))
    }

    async fn finish(&self, key: &str, app: &AppId, work: Work) -> Done {
        let event = match Event::try_from(&work.event) {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(run.id = %work.run, "what is pending cannot be gone on with: {error}");
                return Done::Stays(Box::new(work));
            }
        };
        if route(&self.relay.config, &self.relay.shelf.names(), &event.name).mode != Mode::Enforce {
            // Nothing may be taken back now either.
            return Done::Stays(Box::new(work));
        }
        let trigger = Trigger {
            invocation: self.invocation.to_owned(),
            cause: Cause::Pending,
            of: Some(work.run.clone()),
            apps: Some(vec![app.clone()]),
            carried: Some(Carried {
                run: work.run.clone(),
                since: work.since,
                attempts: work.attempts,
                undo: work.undo.clone(),
            }),
        };
        let run = self
            .relay
            .run(trigger, Ok(event), self.run_deadline())
            .await;
        if is_final(&run) {
            return self.settle(app, work, &run).await;
        }
        if elapsed(work.since, Timestamp::now()) > PATIENCE {
            return self.give_up(app, work, run).await;
        }
        // Whatever the run has left to do is in an entry of its own.
        match self.relay.pending.of_app(app).await {
            Ok(entries) => {
                let mut works = entries
                    .iter()
                    .filter(|entry| entry.key != key)
                    .flat_map(|entry| &entry.value.works);
                let is_carried_on =
                    works.any(|other| other.run == work.run && other.is_about(&work.event));
                if is_carried_on {
                    Done::CarriedOn
                } else {
                    Done::Stays(Box::new(work))
                }
            }
            Err(_) => Done::Stays(Box::new(work)),
        }
    }

    /// Writes the final verdict into the run that left the work open.
    async fn settle(&self, app: &AppId, work: Work, run: &Run) -> Done {
        let last = run
            .rotations
            .iter()
            .find(|rotation| rotation.app == *app)
            .map(|rotation| &rotation.outcome);
        let Some(outcome) = last.or(run.ended.as_ref()).cloned() else {
            return Done::Stays(Box::new(work));
        };
        let (app, by) = (app.clone(), run.id.clone());
        let amended = self
            .relay
            .history
            .amend(&work.run, |first| {
                settle_rotation(first, &app, &outcome, &by)
            })
            .await;
        match amended {
            Ok(()) => Done::Finished,
            Err(_) => Done::Stays(Box::new(work)),
        }
    }

    /// Ends what has been pending for a day.
    async fn give_up(&self, app: &AppId, work: Work, mut run: Run) -> Done {
        let last = run
            .outcomes()
            .map(|outcome| outcome.message.clone())
            .next()
            .unwrap_or_default();
        let message = format!(
            "given up after {} hours: {last}",
            PATIENCE.as_secs() / 3_600
        );
        for outcome in run.outcomes_mut() {
            *outcome = Outcome::permanent(message.clone());
        }
        if self.relay.history.keep(&run).await.is_err() {
            return Done::Stays(Box::new(work));
        }
        run.log(Some(&work.event.id));
        let is_given_up = |other: &Work| other.run == work.run && other.is_about(&work.event);
        if self
            .relay
            .pending
            .drop_works(app, is_given_up)
            .await
            .is_err()
        {
            return Done::Stays(Box::new(work));
        }
        self.settle(app, work, &run).await
    }
}

fn settle_rotation(first: &mut Run, app: &AppId, outcome: &Outcome, by: &RunId) {
    for rotation in first
        .rotations
        .iter_mut()
        .filter(|rotation| rotation.app == *app)
    {
        if rotation.before.is_none() && !rotation.outcome.is_final() {
            let former = std::mem::replace(&mut rotation.outcome, outcome.clone());
            rotation.before = Some(Former {
                outcome: former,
                settled_by: by.clone(),
            });
        }
    }
}
