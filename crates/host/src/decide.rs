//! Words for a policy's decision.

use keyrelay_model::Decision;

/// A decision in short, for logs and records: names and references' targets, never plain text.
pub(crate) fn in_short(decision: &Decision) -> String {
    match decision {
        Decision::Patch(patch) => {
            let set: Vec<String> = patch
                .set
                .iter()
                .map(|(name, _)| format!("set {name}"))
                .collect();
            let remove = patch.remove.iter().map(|name| format!("remove {name}"));
            let changes: Vec<String> = set.into_iter().chain(remove).collect();
            format!("patch ({})", changes.join(", "))
        }
        Decision::Refresh => "refresh".to_owned(),
        Decision::Notice(text) => format!("notice: {text}"),
        Decision::Skip(reason) => format!("skip: {reason}"),
    }
}
