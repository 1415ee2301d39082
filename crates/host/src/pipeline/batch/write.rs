//! Writes the settings of an app without losing another writer's change: read, plan, read again,
//! write only if nothing has changed, read back, compare.
//!
//! Azure replaces all settings of an app in one request, without a condition. Two reads that agree,
//! with a quiet period between them and the second right before the write, are the closest
//! substitute. A third read is sent together with the write. This concurrent read sees most of the
//! changes that another writer makes in that last moment; those that our write has overwritten are
//! restored.

use std::time::Duration;

use keyrelay_azure::{AzureError, Call, Deadline, Operation, WriteOutcome};
use keyrelay_model::{Change, Plan, SettingName, Settings};
use keyrelay_records::Outcome;
use keyrelay_records::app_state::AppState;
use keyrelay_store::Lease;
use tokio::time::{Instant, sleep_until};

use super::context::BatchContext;

/// Largest number of plans that are made because another writer has changed the settings.
const ATTEMPTS: u32 = 8;

/// First quiet period: the time for which settings must stay the same before they are written. It
/// doubles each time that another writer is seen, so that we wait for the end of a deployment.
const FIRST_QUIET_PERIOD: Duration = Duration::from_millis(100);

/// Longest quiet period.
const LONGEST_QUIET_PERIOD: Duration = Duration::from_secs(2);

/// The settings that a write is to reach.
pub(super) trait Goal: Send {
    /// The settings to reach from those that were read.
    fn target(
        &mut self,
        context: &BatchContext,
        settings: &Settings,
    ) -> impl Future<Output = Settings> + Send;

    /// Prepares a write. It is not sent if this fails.
    fn before_write(
        &mut self,
        context: &BatchContext,
        lease: &mut Lease<AppState>,
    ) -> impl Future<Output = Result<(), Outcome>> + Send;

    /// Notes that a write was carried out, or may have been: Azure has not refused it.
    fn may_have_written(&mut self);

    /// Notes a remark for operators.
    fn note(&mut self, note: &str);
}

/// Time after the deadline in which a write that was sent is read back, and in which the changes of
/// another writer that it has overwritten are restored: nobody else knows of them.
const AFTER_WRITE: Duration = Duration::from_secs(5);

/// The result of one write.
struct Written {
    /// The settings, read back.
    settings: Settings,
    /// The changes of another writer that our write has overwritten.
    overwritten: Plan,
}

/// One write, and those that restore what it has overwritten.
struct Writing<'w, G> {
    context: &'w BatchContext,
    lease: &'w mut Lease<AppState>,
    goal: &'w mut G,
}

/// Reads, plans and writes until the goal is reached. Returns the settings of the app.
pub(super) async fn write_until(
    context: &BatchContext,
    lease: &mut Lease<AppState>,
    goal: &mut impl Goal,
) -> Result<Settings, Outcome> {
    let mut settings = context.settings().await?;
    let (mut read_at, mut quiet_period) = (Instant::now(), FIRST_QUIET_PERIOD);
    for _ in 0..ATTEMPTS {
        let target = goal.target(context, &settings).await;
        let plan = Plan::difference(&settings, &target);
        if plan.is_empty() {
            return Ok(settings);
        }
        goal.before_write(context, lease).await?;
        sleep_until(read_at + quiet_period).await;
        let mut writing = Writing {
            context,
            lease: &mut *lease,
            goal: &mut *goal,
        };
        let written = writing.replace(&settings, &plan, &plan).await?;
        quiet_period = (quiet_period * 2).min(LONGEST_QUIET_PERIOD);
        read_at = Instant::now();
        let Some(written) = written else {
            settings = context.settings().await?;
            continue;
        };
        settings = written.settings;
        if !written.overwritten.is_empty() {
            settings = writing
                .restore(settings, &plan, written.overwritten)
                .await?;
        }
        if plan.is_in(&settings) {
            return Ok(settings);
        }
    }
    Err(Outcome::transient(format!(
        "another writer keeps changing the settings of the app: in {ATTEMPTS} attempts they changed \
         between the read and the write"
    )))
}

impl<G: Goal> Writing<'_, G> {
    /// Writes a plan if the settings are still as they were read, and reads them back. None: another
    /// writer has changed them, and nothing was written. `ours` is the plan of the goal.
    ///
    /// If the result of the write is unknown, or if Azure refused it for now, the settings that are
    /// read back decide: the caller compares them, and plans again.
    async fn replace(
        &mut self,
        settings: &Settings,
        plan: &Plan,
        ours: &Plan,
    ) -> Result<Option<Written>, Outcome> {
        let context = self.context;
        let azure = &context.services.resource_manager;
        let call = self.call();
        let writer = azure.settings_writer(&context.app, &call).await?;
        // The fence: the lease is still ours right before the write.
        self.lease.renew().await?;
        if writer.settings(&call).await? != *settings {
            return Ok(None);
        }
        // A write that outlasts the lease could overlap with the write of another instance.
        let call = self.call();
        let WriteOutcome {
            concurrent_read,
            response,
        } = writer.replace(&plan.apply_to(settings), &call).await;
        let error = response.as_ref().err();
        if error.is_none_or(AzureError::may_have_been_written) {
            self.goal.may_have_written();
        }
        let seen = concurrent_read.as_ref();
        let is_under_way = error.is_some_and(AzureError::may_take_effect_later);
        let failure = match response {
            Err(error) => match error.plan_again_after() {
                Some(pause) if pause < context.call.deadline.remaining() => {
                    tokio::time::sleep(pause).await;
                    None
                }
                _ if error.may_have_been_written() => None,
                _ => Some(error),
            },
            Ok(_) => None,
        };
        let read_back = match failure {
            None => azure.settings(&context.app, &self.call_after_write()).await,
            Some(error) => Err(error),
        };
        if is_under_way && !read_back.as_ref().is_ok_and(|now| plan.is_in(now)) {
            // The next holder of the lease would overlap with it.
            self.lease.leave_to_expire();
        }
        match read_back {
            Ok(now) => Ok(Some(Written {
                overwritten: seen
                    .map(|seen| overwritten(settings, plan, ours, seen, &now))
                    .unwrap_or_default(),
                settings: now,
            })),
            Err(error) => {
                // Azure has refused the write, or nobody knows: then the change of another writer
                // may be lost.
                let theirs = seen.map(|seen| foreign(settings, ours, seen));
                let is_uncertain = error.operation != Operation::WriteSettings;
                if let Some(theirs) = theirs.filter(|it| is_uncertain && !it.is_empty()) {
                    self.note_lost(&theirs, "the settings could not be read back");
                }
                Err(error.into())
            }
        }
    }

    /// Restores the changes of another writer that our write has overwritten, and those that the
    /// restoring writes overwrite; then notes whether they are restored, or lost.
    async fn restore(
        &mut self,
        mut settings: Settings,
        ours: &Plan,
        mut overwritten: Plan,
    ) -> Result<Settings, Outcome> {
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            // A setting that the other writer has changed again stays as it is.
            let remaining = overwritten.not_overwritten_in(&settings);
            if remaining.is_empty() {
                let note = format!(
                    "another writer changed settings at the same moment: {overwritten} was \
                     overwritten and restored"
                );
                tracing::warn!(app.id = %self.context.app, "{note}");
                self.goal.note(&note);
                return Ok(settings);
            }
            let written = match self.replace(&settings, &remaining, ours).await {
                Ok(Some(written)) => Ok(written),
                Ok(None) => self.read_again().await,
                Err(outcome) => Err(outcome),
            };
            match written {
                Ok(written) => {
                    settings = written.settings;
                    overwritten = overwritten.replaced_by(written.overwritten);
                }
                Err(outcome) => {
                    failure = Some(outcome);
                    break;
                }
            }
        }
        let reason = failure
            .as_ref()
            .map_or("too many writers", |failure| &failure.message);
        self.note_lost(&overwritten.not_overwritten_in(&settings), reason);
        failure.map_or(Ok(settings), Err)
    }

    async fn read_again(&self) -> Result<Written, Outcome> {
        let azure = &self.context.services.resource_manager;
        let settings = azure
            .settings(&self.context.app, &self.call_after_write())
            .await?;
        Ok(Written {
            settings,
            overwritten: Plan::default(),
        })
    }

    fn note_lost(&mut self, lost: &Plan, reason: &str) {
        let note = format!(
            "another writer changed settings at the same moment, and their values are lost: set \
             {lost} again ({reason})"
        );
        tracing::error!(app.id = %self.context.app, "{note}");
        self.goal.note(&note);
    }

    /// The requests of a write: none outlasts the lease.
    fn call(&self) -> Call {
        let deadline = Deadline::after(self.lease.remaining());
        let call = &self.context.call;
        call.with_deadline(deadline.min(call.deadline))
    }

    /// The requests after a write that was sent.
    fn call_after_write(&self) -> Call {
        let call = &self.context.call;
        let later = Deadline::at(call.deadline.moment() + AFTER_WRITE);
        call.with_deadline(later.min(Deadline::after(self.lease.remaining())))
    }
}

/// The changes that the concurrent read shows and that are not ours.
fn foreign(before: &Settings, ours: &Plan, seen: &Settings) -> Plan {
    let is_ours = |name: &SettingName| ours.changes().any(|(own, _)| own == name);
    let theirs = Plan::difference(before, seen);
    let foreign = theirs.changes().filter(|(name, _)| !is_ours(name));
    Plan::recorded(foreign.map(|(name, change)| (name.clone(), Change::clone(change))))
}

/// The changes that the concurrent read shows, that are not ours, and that are gone now: another
/// writer made them right before our write, which has replaced them with what we had read, or with
/// an older value of theirs.
fn overwritten(
    before: &Settings,
    plan: &Plan,
    ours: &Plan,
    seen: &Settings,
    now: &Settings,
) -> Plan {
    let written = plan.apply_to(before);
    let theirs = foreign(before, ours, seen);
    let lost = theirs.changes().filter(|(name, change)| {
        let ours = written.get(name);
        now.get(name) == ours && change.after.as_ref() != ours
    });
    Plan::recorded(lost.map(|(name, change)| {
        let before = now.get(name).cloned();
        let after = change.after.clone();
        (name.clone(), Change { before, after })
    }))
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
        let found = overwritten(&before, &plan, &plan, &settings(seen), &settings(now));
        let names: Vec<String> = found.changes().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names.join(" "), lost);
    }

    #[test]
    fn a_concurrent_change_that_our_write_reverted_is_overwritten() {
        let now = [("OURS", "2"), ("THEIRS", "1")];
        check(&[("OURS", "1"), ("THEIRS", "2")], &now, "THEIRS");
        check(&[("OURS", "1"), ("THEIRS", "1"), ("NEW", "1")], &now, "NEW");
        check(&[("OURS", "1")], &now, "THEIRS");
    }

    #[test]
    fn a_second_change_that_the_restoring_write_reverted_is_overwritten() {
        let goal = [("OURS", "2"), ("THEIRS", "1")];
        let before = settings(&goal);
        let ours = Plan::difference(&settings(&[("OURS", "1"), ("THEIRS", "1")]), &before);
        let restored = [("OURS", "2"), ("THEIRS", "2")];
        let restoring = Plan::difference(&before, &settings(&restored));
        let of = |seen: &[(&str, &str)]| {
            let now = settings(&restored);
            let found = overwritten(&before, &restoring, &ours, &settings(seen), &now);
            let described = found.changes().map(|(name, change)| {
                let value =
                    |it: &Option<SettingValue>| it.as_ref().map(|it| it.expose().to_owned());
                (
                    name.to_string(),
                    value(&change.before),
                    value(&change.after),
                )
            });
            described.collect::<Vec<_>>()
        };
        let change = |name: &str, before: Option<&str>, after: &str| {
            vec![(
                name.to_owned(),
                before.map(str::to_owned),
                Some(after.to_owned()),
            )]
        };
        // The same setting again, and another one. The goal's own setting is not theirs.
        let again = [("OURS", "1"), ("THEIRS", "3")];
        assert_eq!(of(&again), change("THEIRS", Some("2"), "3"));
        let another = [("OURS", "2"), ("THEIRS", "1"), ("NEW", "1")];
        // The restoring write has set `THEIRS` to the value that they wrote first; the read shows
        // that it was reset before.
        assert_eq!(of(&another), change("NEW", None, "1"));
    }

    #[test]
    fn a_change_that_is_still_there_or_ours_is_not_overwritten() {
        let unchanged = [("OURS", "2"), ("THEIRS", "1")];
        check(&[("OURS", "1"), ("THEIRS", "1")], &unchanged, "");
        check(&[("OURS", "2"), ("THEIRS", "1")], &unchanged, "");
        check(&[("OURS", "7"), ("THEIRS", "1")], &unchanged, "");
        for theirs in ["2", "3"] {
            let now = [("OURS", "2"), ("THEIRS", theirs)];
            check(&[("OURS", "1"), ("THEIRS", "2")], &now, "");
        }
    }
}
