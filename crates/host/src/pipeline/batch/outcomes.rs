//! The outcomes of rotations, in words for operators.

use keyrelay_model::Verdict;
use keyrelay_records::Outcome;

use crate::pipeline::event_context::EventContext;
use crate::pipeline::rotation::{AppliedChange, AwaitedReference};

/// The outcome of a rotation that finds its references resolved already: unchanged, or verified if
/// it resumes pending work.
pub(super) fn already_resolved(context: &EventContext, awaited: &[AwaitedReference]) -> Outcome {
    if context.resumed.is_some() {
        return verified(awaited);
    }
    let message = match awaited {
        [] => "there is nothing to do".to_owned(),
        _ => format!("{} already", resolved(awaited)),
    };
    Outcome::new(Verdict::Unchanged, message)
}

/// The outcome of a rotation whose references are resolved.
pub(super) fn verified(awaited: &[AwaitedReference]) -> Outcome {
    Outcome::new(Verdict::Verified, resolved(awaited))
}

/// The outcome of a rotation that is left to the reconcile timer.
pub(super) fn pending(change: AppliedChange, message: &str) -> Outcome {
    let change = match change {
        AppliedChange::None => "",
        AppliedChange::Written => "written, ",
        AppliedChange::Refreshed => "refreshed, ",
    };
    let message = format!("{change}not confirmed yet: {message}");
    Outcome::new(Verdict::Pending, message)
}

fn resolved(awaited: &[AwaitedReference]) -> String {
    let one = |it: &AwaitedReference| match &it.version {
        Some(version) => format!("`{}` is resolved with version {version}", it.setting),
        None => format!("`{}` is resolved", it.setting),
    };
    if awaited.is_empty() {
        return "there is nothing left to verify".to_owned();
    }
    awaited.iter().map(one).collect::<Vec<_>>().join(", ")
}
