//! Writes the settings of an app without losing another writer's change: read, plan, read again,
//! write only if nothing has changed, read back, compare.
//!
//! Azure replaces all settings of an app in one request, without a condition. Two reads that agree,
//! with a quiet period between them and the second right before the write, are the closest
//! substitute. A third read is sent together with the write. This concurrent read sees most of the
//! changes that another writer makes in that last moment; those that our write has overwritten are
//! restored.

use std::time::Duration;

use keyrelay_azure::{Call, Deadline, WriteOutcome};
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

    /// Notes that a write was sent. Its result may be unknown.
    fn write_sent(&mut self);

    /// Notes a remark for operators.
    fn note(&mut self, note: &str);
}

/// The result of one write.
struct Written {
    /// The settings, read back.
    settings: Settings,
    /// The changes of another writer that our write has overwritten.
    overwritten: Plan,
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
        let written = replace(context, lease, goal, &settings, &plan).await?;
        quiet_period = (quiet_period * 2).min(LONGEST_QUIET_PERIOD);
        read_at = Instant::now();
        let Some(written) = written else {
            settings = context.settings().await?;
            continue;
        };
        settings = written.settings;
        if !written.overwritten.is_empty() {
            settings = restore(context, lease, goal, settings, &written.overwritten).await?;
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

/// Writes a plan if the settings are still as they were read, and reads them back. None: another
/// writer has changed them, and nothing was written.
///
/// If the result of the write is unknown, or if Azure refused it for now, the settings that are
/// read back decide: the caller compares them, and plans again.
async fn replace(
    context: &BatchContext,
    lease: &mut Lease<AppState>,
    goal: &mut impl Goal,
    settings: &Settings,
    plan: &Plan,
) -> Result<Option<Written>, Outcome> {
    let azure = &context.services.resource_manager;
    let writer = azure.settings_writer(&context.app, &context.call).await?;
    // The fence: the lease is still ours right before the write.
    lease.renew().await?;
    if writer.settings(&context.call).await? != *settings {
        return Ok(None);
    }
    // A write that outlasts the lease could overlap with the write of another instance.
    let deadline = Deadline::after(lease.remaining()).min(context.call.deadline);
    let call = Call {
        deadline,
        log: context.call.log.clone(),
    };
    let WriteOutcome {
        concurrent_read,
        response,
    } = writer.replace(&plan.apply_to(settings), &call).await;
    goal.write_sent();
    if let Err(error) = response {
        match error.plan_again_after() {
            Some(pause) if pause < context.call.deadline.remaining() => {
                tokio::time::sleep(pause).await;
            }
            None if error.may_have_been_written() => {}
            _ => return Err(error.into()),
        }
    }
    let now = context.settings().await?;
    let overwritten = concurrent_read
        .map(|seen| overwritten(settings, plan, &seen, &now))
        .unwrap_or_default();
    Ok(Some(Written {
        settings: now,
        overwritten,
    }))
}

/// Restores the changes of another writer that our write has overwritten, and notes it.
async fn restore(
    context: &BatchContext,
    lease: &mut Lease<AppState>,
    goal: &mut impl Goal,
    mut settings: Settings,
    overwritten: &Plan,
) -> Result<Settings, Outcome> {
    let note = format!(
        "another writer changed settings at the same moment: {overwritten} was overwritten and \
         restored"
    );
    tracing::warn!(app.id = %context.app, "{note}");
    goal.note(&note);
    for _ in 0..ATTEMPTS {
        // A setting that the other writer has changed again stays as it is.
        let remaining = overwritten.not_overwritten_in(&settings);
        if remaining.is_empty() {
            break;
        }
        settings = match replace(context, lease, goal, &settings, &remaining).await? {
            Some(written) => written.settings,
            None => context.settings().await?,
        };
    }
    Ok(settings)
}

/// The changes that the concurrent read shows, that are not ours, and that are gone now: another
/// writer made them right before our write, which restored the former values.
fn overwritten(before: &Settings, plan: &Plan, seen: &Settings, now: &Settings) -> Plan {
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
        let found = overwritten(&before, &plan, &settings(seen), &settings(now));
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
