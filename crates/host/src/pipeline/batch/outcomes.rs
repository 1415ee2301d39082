//! The outcomes of rotations, in words for operators.

use std::time::Duration;

use keyrelay_azure::ReferenceKind;
use keyrelay_model::{Evidence, SettingName, Verdict};
use keyrelay_records::Outcome;

use super::status::Proof;
use crate::pipeline::event_context::EventContext;
use crate::pipeline::rotation::{AppliedChange, AwaitedReference, Verification};

/// The outcome of a rotation whose references have the version: unchanged if they had it before, and
/// no earlier run can have moved them to it.
pub(super) fn proven(
    context: &EventContext,
    verification: &Verification,
    Proof { evidence, notes }: Proof,
) -> Outcome {
    let is_new =
        verification.change != AppliedChange::None || context.resumed.is_some() || context.is_retry;
    let has_version = has_version(&verification.awaited, evidence);
    let parts: Vec<String> = std::iter::once(has_version).chain(notes).collect();
    let message = parts.join("; ");
    match (is_new, evidence) {
        (true, Some(evidence)) => {
            let done = done_without_reference(verification);
            let message = done.into_iter().chain([message]).collect::<Vec<_>>();
            Outcome::proven(evidence, message.join("; "))
        }
        // A policy that only removes or writes plain text leaves no reference to check.
        (true, None) => {
            let message = match done_without_reference(verification) {
                None => "there is nothing left to verify".to_owned(),
                Some(done) => format!("{done}: read back, and there is no reference to verify"),
            };
            Outcome::new(Verdict::Verified, message)
        }
        (false, None) => Outcome::new(Verdict::Unchanged, "there is nothing to do"),
        (false, Some(_)) => Outcome {
            evidence,
            ..Outcome::new(Verdict::Unchanged, format!("{message} already"))
        },
    }
}

/// The outcome of a rotation that is left to the reconcile timer, which continues after `due_in`.
pub(super) fn pending(
    verification: &Verification,
    reason: &str,
    due_in: Option<Duration>,
) -> Outcome {
    let change = match verification.change {
        AppliedChange::None => "",
        AppliedChange::Written => "written, ",
        AppliedChange::Refreshed => "refreshed, ",
    };
    let next = match (due_in, verification.progress.refreshes.len()) {
        (Some(due_in), 0) => format!("; it is refreshed in {} s", seconds(due_in)),
        (Some(due_in), 1) => format!("; it is refreshed again in {} s", seconds(due_in)),
        (Some(due_in), _) => format!("; it is checked again in {} s", seconds(due_in)),
        (None, _) => String::new(),
    };
    let message = format!("{change}not confirmed yet: {reason}{next}");
    Outcome::new(Verdict::Pending, message)
}

/// What a patch has done to settings without a reference to verify. None: nothing.
fn done_without_reference(verification: &Verification) -> Option<String> {
    let (mut set, mut removed) = (Vec::new(), Vec::new());
    let is_awaited = |name: &SettingName| {
        let mut awaited = verification.awaited.iter();
        awaited.any(|it| it.kind == ReferenceKind::AppSetting && it.setting == *name)
    };
    let changes = verification.plan.changes();
    for (name, change) in changes.filter(|(name, _)| !is_awaited(name)) {
        match change.after {
            Some(_) => set.push(format!("`{name}`")),
            None => removed.push(format!("`{name}`")),
        }
    }
    let parts = [("set", set), ("removed", removed)];
    let parts = parts.iter().filter(|(_, names)| !names.is_empty());
    let done: Vec<String> = parts
        .map(|(verb, names)| format!("{verb} {}", names.join(", ")))
        .collect();
    (!done.is_empty()).then(|| done.join("; "))
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs_f64().ceil() as u64
}

fn has_version(awaited: &[AwaitedReference], evidence: Option<Evidence>) -> String {
    let is_named = evidence.is_none_or(|evidence| evidence.verdict() == Verdict::Verified);
    let one = |it: &AwaitedReference| match &it.version {
        Some(version) if is_named => format!("`{}` is resolved with version {version}", it.setting),
        _ => format!("`{}` is resolved", it.setting),
    };
    let all = awaited.iter().map(one).collect::<Vec<_>>().join(", ");
    let version = awaited.iter().find_map(|it| it.version.as_ref());
    let since = version.map_or_else(
        || "after the event".to_owned(),
        |version| format!("since version {version} existed"),
    );
    match evidence {
        Some(Evidence::RefreshedTwice) => format!("refreshed twice {since}: {all}"),
        Some(Evidence::RefreshedOnce) => format!("refreshed once {since}: {all}"),
        _ => all,
    }
}
