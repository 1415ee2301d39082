//! Handles what is due: postponed events, pending work, and checks of the audit log.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_records::{DueKey, PendingKeys};
use keyrelay_store::StoreError;
use tokio::sync::SetOnce;
use tokio::time::timeout;

use super::pass::{Pass, elapsed};
use super::summary::Summary;
use super::{audit, pending_work, postponed};

/// Longest time for events while pending work waits. What is left of them continues afterwards.
const EVENTS_FOR: Duration = Duration::from_secs(80);

/// Handles what is due at `now`.
///
/// Events first: their apps may have had no refresh at all.
pub(super) async fn handle_due(
    pass: &Pass<'_>,
    pending: &PendingKeys,
    now: Timestamp,
    summary: &mut Summary,
) {
    let due = |keys: &[DueKey]| -> Vec<String> {
        let due = keys.iter().filter(|key| key.due() <= now);
        due.map(|key| key.as_str().to_owned()).collect()
    };
    summary.waiting = pending.work.len() + pending.events.len();
    let events = pass.within(EVENTS_FOR);
    postponed::handle(&events, due(&pending.events), summary).await;
    pending_work::resume(pass, &pending.work, now, summary).await;
    audit::check(pass, due(&pending.audits), summary).await;
}

/// Handles what becomes due before the next invocation of the timer, and until a comparison that is
/// in progress has ended: the reminders that it finds are postponed events.
pub(super) async fn wait_for_the_next(
    pass: &Pass<'_>,
    comparing: Option<&SetOnce<()>>,
    summary: &mut Summary,
) -> Result<(), StoreError> {
    let timing = pass.services.config.refresh_timing;
    // Keys that are not handled in time, or that another instance has claimed.
    let mut handled = HashSet::new();
    while !pass.deadline.has_passed() {
        let is_compared = comparing.is_none_or(|compared| compared.get().is_some());
        let mut pending = pass.pending.list().await?;
        let is_new = |key: &DueKey| !handled.contains(key.as_str());
        pending.work.retain(is_new);
        pending.events.retain(is_new);
        pending.audits.retain(is_new);
        let now = pass.services.now();
        let wait = pending.next_due().map(|next| elapsed(now, next));
        let Some(wait) = wait.filter(|wait| *wait <= timing.lookahead()) else {
            match comparing.filter(|_| !is_compared) {
                // Events leave work meanwhile.
                Some(compared) => {
                    let _ = timeout(timing.poll() * 2, compared.wait()).await;
                }
                None => break,
            }
            continue;
        };
        if !wait.is_zero() {
            // Events that arrive meanwhile leave work that is due earlier.
            let wait = wait.min(timing.poll()).min(pass.deadline.remaining());
            tokio::time::sleep(wait).await;
            continue;
        }
        let is_due = |key: &&DueKey| key.due() <= now;
        let due = pending.all().filter(is_due);
        handled.extend(due.map(|key| key.as_str().to_owned()));
        handle_due(pass, &pending, now, summary).await;
    }
    Ok(())
}
