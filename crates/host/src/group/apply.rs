//! Writing settings so that nobody's write is lost: read, plan, read again, write only if the ground has not moved,
//! read back, compare.
//!
//! Azure replaces all settings of an app with one request and knows no condition on it, so two reads that agree, some time
//! apart and the second right before the write, are as near as one can come. A third one that is on its way together
//! with the write, the witness, sees most of what was written in that last moment: what our write has run over is put
//! back.

use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::{Call, Deadline, ReferenceStatus, WriteOutcome};
use keyrelay_model::{Change, Plan, SettingName, Settings};
use keyrelay_store::Lease;
use tokio::time::{Instant, sleep_until};

use super::{Group, already};
use crate::order::{Proof, Rotation, Stage};
use crate::outcome::Outcome;
use crate::state::AppState;
use crate::verify::Awaited;

/// How often a plan is made anew because somebody else wrote in between.
const ATTEMPTS: u32 = 8;

/// How long settings must have stayed the same before they are written: at first, and at most. It doubles each time that
/// somebody else is seen writing, so that we wait for the end of a deployment and do not get into the middle of it.
const QUIET: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What is wanted of the settings, each time they are read.
enum Wanted<'p> {
    /// What the policies decide.
    Decisions,
    /// That a plan of ours is taken back.
    Undone(&'p Plan),
}

/// What one write came to.
struct Written {
    /// What is there now.
    settings: Settings,
    /// What somebody else had written at the same moment, and our write has run over.
    run_over: Plan,
}

impl Group {
    /// Writes what the policies decide, all at once.
    pub(super) async fn patch(
        &mut self,
        lease: &mut Lease<AppState>,
        statuses: &[ReferenceStatus],
    ) -> Result<(), Outcome> {
        if !self
            .rotations
            .iter()
            .any(|rotation| matches!(rotation.stage, Stage::Patch))
        {
            return Ok(());
        }
        let (settings, plans) = self.write(lease, &Wanted::Decisions).await?;
        for (index, plan) in plans {
            let Some(Rotation {
                order,
                stage: Stage::Patch,
                ..
            }) = self.rotations.get(index)
            else {
                continue;
            };
            let order = Arc::clone(order);
            let awaited = self.awaited_after(&order, &plan, &settings, statuses);
            if plan.is_empty() && self.are_good(&order, &awaited, statuses) {
                lease.document.note(&order);
                self.end(index, already(&order, &awaited));
                continue;
            }
            let done = (!plan.is_empty()).then_some("written");
            self.set_stage(
                index,
                Stage::Proof(Proof {
                    awaited,
                    plan,
                    not_kept: Vec::new(),
                    done,
                }),
            );
        }
        Ok(())
    }

    /// Puts back what was there before a plan, for its names only, and only where nobody has changed it since.
    pub(super) async fn take_back(
        &mut self,
        lease: &mut Lease<AppState>,
        plan: &Plan,
    ) -> Result<(), Outcome> {
        self.write(lease, &Wanted::Undone(plan)).await.map(drop)
    }

    /// Reads, plans and writes until what is wanted is there. Returns what is there then, and the plan of each rotation.
    async fn write(
        &mut self,
        lease: &mut Lease<AppState>,
        wanted: &Wanted<'_>,
    ) -> Result<(Settings, Vec<(usize, Plan)>), Outcome> {
        let mut settings = self.read().await?;
        let (mut read_at, mut quiet) = (Instant::now(), QUIET.0);
        // What was planned first for each rotation, so that it can be taken back after an attempt that half succeeded.
        let mut first = Vec::new();
        for _ in 0..ATTEMPTS {
            let (target, plans) = match wanted {
                Wanted::Decisions => self.compose(&settings).await,
                Wanted::Undone(plan) => (plan.undo(&settings).apply_to(&settings), Vec::new()),
            };
            merge(&mut first, plans);
            let total = Plan::difference(&settings, &target);
            if total.is_empty() {
                return Ok((settings, first));
            }
            if let Wanted::Decisions = wanted {
                // To take back was intended when the write was.
                self.intend(&first).await?;
                // Goes into the store with the fence: whatever becomes of this process, no older version comes after it.
                for (index, _) in first.iter().filter(|(_, plan)| !plan.is_empty()) {
                    if let Some(rotation) = self.rotations.get(*index) {
                        lease.document.note(&rotation.order);
                    }
                }
            }
            sleep_until(read_at + quiet).await;
            let written = self.replace(lease, &settings, &total).await?;
            quiet = (quiet * 2).min(QUIET.1);
            read_at = Instant::now();
            let Some(written) = written else {
                settings = self.read().await?;
                continue;
            };
            settings = written.settings;
            if !written.run_over.is_empty() {
                settings = self.put_back(lease, settings, &written.run_over).await?;
            }
            if total.is_in(&settings) {
                return Ok((settings, first));
            }
        }
        Err(Outcome::transient(format!(
            "somebody else keeps writing the settings of the app: {ATTEMPTS} attempts met other values than were read"
        )))
    }

    /// Makes a plan of the settings true, if they are still as they were read, and returns what is there afterwards, read
    /// anew. None: somebody else has written meanwhile, and nothing was done.
    ///
    /// When the write's fate is unknown (no answer, half an answer), or it was refused for the moment, what is read
    /// decides: the caller compares, and plans again if need be.
    async fn replace(
        &mut self,
        lease: &mut Lease<AppState>,
        settings: &Settings,
        plan: &Plan,
    ) -> Result<Option<Written>, Outcome> {
        let relay = Arc::clone(&self.relay);
        let writing = relay
            .resource_manager
            .settings_writer(&self.app, &self.call)
            .await?;
        lease.renew().await?;
        if writing.settings(&self.call).await? != *settings {
            return Ok(None);
        }
        // A write that takes longer than the lease might happen while somebody else writes.
        let deadline = self.call.deadline.min(Deadline::after(lease.remaining()));
        let call = Call {
            deadline,
            log: self.call.log.clone(),
        };
        let WriteOutcome {
            concurrent_read: witness,
            response: answer,
        } = writing.replace(&plan.apply_to(settings), &call).await;
        self.changed = true;
        if let Err(error) = answer {
            match error.plan_again_after() {
                Some(pause) if pause < self.call.deadline.remaining() => {
                    tokio::time::sleep(pause).await
                }
                None if error.may_have_been_written() => {}
                _ => return Err(error.into()),
            }
        }
        let now = self.read().await?;
        let run_over = witness
            .map(|seen| run_over(settings, plan, &seen, &now))
            .unwrap_or_default();
        Ok(Some(Written {
            settings: now,
            run_over,
        }))
    }

    /// Puts back what our write has run over, and says so in the records of all whose write it was.
    async fn put_back(
        &mut self,
        lease: &mut Lease<AppState>,
        mut settings: Settings,
        run_over: &Plan,
    ) -> Result<Settings, Outcome> {
        let note = format!(
            "somebody else wrote at the same moment: {run_over} was put back as they wrote it"
        );
        tracing::warn!(app.id = %self.app, "{note}");
        for rotation in self
            .rotations
            .iter_mut()
            .filter(|rotation| matches!(rotation.stage, Stage::Patch))
        {
            rotation.notes.push(note.clone());
        }
        for _ in 0..ATTEMPTS {
            // What they have changed themselves since then stays as it is.
            let left = run_over.not_overtaken_in(&settings);
            if left.is_empty() {
                break;
            }
            settings = match self.replace(lease, &settings, &left).await? {
                Some(written) => written.settings,
                None => self.read().await?,
            };
        }
        Ok(settings)
    }

    /// The references to wait for after a write: those of the plan, and those that Azure resolves anew along with them.
    fn awaited_after(
        &self,
        order: &crate::order::Order,
        plan: &Plan,
        settings: &Settings,
        statuses: &[ReferenceStatus],
    ) -> Vec<Awaited> {
        let suffix = self.vault_suffix();
        // What a later event of the same group has changed again is that event's to prove.
        let holds = |setting: &SettingName| {
            plan.changes().any(|(name, change)| {
                name == setting && settings.get(name) == change.after.as_ref()
            })
        };
        let written = plan
            .references(suffix)
            .into_iter()
            .filter(|(setting, _)| holds(setting));
        let mut awaited: Vec<Awaited> = written
            .map(|(setting, target)| Awaited::new(setting, target, &order.event))
            .collect();
        let others = self.awaited(order, statuses).into_iter();
        awaited.extend(others.filter(|it| plan.changes().all(|(name, _)| *name != it.setting)));
        // What another rotation of the group has pointed elsewhere meanwhile is not ours either.
        awaited.retain(|it| {
            let now = settings
                .get(&it.setting)
                .and_then(|value| value.reference(suffix).ok());
            now.is_some_and(|now| *now.target() == it.target)
        });
        awaited
    }
}

/// Takes new plans over, but keeps for each setting what was there before the first.
fn merge(first: &mut Vec<(usize, Plan)>, plans: Vec<(usize, Plan)>) {
    for (index, plan) in plans {
        match first.iter_mut().find(|(known, _)| *known == index) {
            Some((_, known)) => *known = known.clone().followed_by(plan),
            None => first.push((index, plan)),
        }
    }
}

/// What the witness saw that neither was there before nor is there now, and that is not ours: the settings that somebody
/// else changed right before our write put them back to what they had been.
fn run_over(before: &Settings, plan: &Plan, seen: &Settings, now: &Settings) -> Plan {
    let ours = |name: &SettingName| plan.changes().any(|(own, _)| own == name);
    let theirs = Plan::difference(before, seen);
    let lost = theirs
        .changes()
        .filter(|(name, change)| !ours(name) && now.get(name) == change.before.as_ref());
    Plan::recorded(lost.map(|(name, change)| (name.clone(), Change::clone(change))))
}

#[cfg(test)]
mod tests {
    use keyrelay_model::SettingValue;

    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs
            .iter()
            .map(|(name, value)| (SettingName::listed(*name), SettingValue::new(*value)))
            .collect()
    }

    #[track_caller]
    fn check(seen: &[(&str, &str)], now: &[(&str, &str)], lost: &str) {
        let before = settings(&[("OURS", "1"), ("THEIRS", "1")]);
        let plan = Plan::difference(&before, &settings(&[("OURS", "2"), ("THEIRS", "1")]));
        let found = run_over(&before, &plan, &settings(seen), &settings(now));
        let names: Vec<String> = found.changes().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names.join(" "), lost);
    }

    #[test]
    fn a_write_of_the_last_moment_that_ours_has_undone_is_found() {
        let now = [("OURS", "2"), ("THEIRS", "1")];
        check(&[("OURS", "1"), ("THEIRS", "2")], &now, "THEIRS");
        check(&[("OURS", "1"), ("THEIRS", "1"), ("NEW", "1")], &now, "NEW");
        check(&[("OURS", "1")], &now, "THEIRS");
    }

    #[test]
    fn what_is_still_there_or_ours_was_not_run_over() {
        check(
            &[("OURS", "1"), ("THEIRS", "1")],
            &[("OURS", "2"), ("THEIRS", "1")],
            "",
        );
        check(
            &[("OURS", "2"), ("THEIRS", "1")],
            &[("OURS", "2"), ("THEIRS", "1")],
            "",
        );
        check(
            &[("OURS", "1"), ("THEIRS", "2")],
            &[("OURS", "2"), ("THEIRS", "2")],
            "",
        );
        check(
            &[("OURS", "7"), ("THEIRS", "1")],
            &[("OURS", "2"), ("THEIRS", "1")],
            "",
        );
        check(
            &[("OURS", "1"), ("THEIRS", "2")],
            &[("OURS", "2"), ("THEIRS", "3")],
            "",
        );
    }
}
