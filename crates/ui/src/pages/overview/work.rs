//! The open work, and the health of the installation, as far as the store tells.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use keyrelay_records::PendingKeys;
use keyrelay_records::fleet::Fleet;
use maud::{Markup, html};

use crate::page::{ago, badge, empty, time};
use crate::snapshot::Snapshot;

/// The time after which work that is due was missed by several rounds of the reconcile timer.
const OVERDUE: Duration = Duration::from_mins(10);

/// The age at which a sweep is missed. There is one a day.
const SWEEP: Duration = Duration::from_hours(36);

/// The work that waits for the reconcile timer.
pub(super) fn open(pending: &PendingKeys, now: Timestamp) -> Markup {
    let lines: BTreeMap<&str, usize> = [
        ("apps to be checked again", pending.work.len()),
        ("events to be handled later", pending.events.len()),
        ("checks of the audit log", pending.audits.len()),
        ("changed apps to be read", pending.changed.len()),
    ]
    .into();
    let due = pending.next_due();
    html! {
        @if lines.values().all(|count| *count == 0) && !pending.sweep {
            (empty("None."))
        } @else {
            ul {
                @for (words, count) in lines { @if count > 0 { li { strong { (count) } " " (words) } } }
                @if pending.sweep { li { "a sweep of all apps is requested" } }
            }
            @if let Some(due) = due {
                p { "Due first: " @if due <= now { "now" } @else { (ago(due, now)) } }
            }
        }
    }
}

/// The signs of life of keyrelay-host.
pub(super) fn health(
    fleet: &Fleet,
    snapshot: &Snapshot,
    pending: &PendingKeys,
    now: Timestamp,
) -> Markup {
    let is_older =
        |at: Timestamp, age: Duration| now.checked_sub(age).is_ok_and(|limit| at < limit);
    // Work without a due time may have been written just now.
    let mut due = pending.all().map(|key| key.due());
    let is_overdue = due.any(|due| due > Timestamp::MIN && is_older(due, OVERDUE));
    let newest = snapshot.runs.first().and_then(|run| run.id.began());
    html! {
        ul {
            li {
                @if is_overdue {
                    (badge("bad", "late")) " Work is due for more than 10 minutes: check that the function app runs, and that its reconcile timer does."
                } @else {
                    (badge("good", "good")) " No work is overdue: the reconcile timer runs, or has nothing to do."
                }
            }
            li {
                @match fleet.swept {
                    Some(at) if is_older(at, SWEEP) => { (badge("warn", "old")) " The last sweep of all apps began " (ago(at, now)) "." }
                    Some(at) => { (badge("good", "good")) " The last sweep of all apps began " (ago(at, now)) "." }
                    None => { (badge("warn", "none")) " No sweep of all apps has come to its end." }
                }
            }
            li {
                @match newest {
                    Some(at) => { "The newest run began " (time(at)) ", " (ago(at, now)) "." }
                    None => "There is no run.",
                }
            }
        }
    }
}
