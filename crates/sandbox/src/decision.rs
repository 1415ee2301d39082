//! Converts a policy's decision from the contract's types to the model's.

use std::time::Duration;

use keyrelay_model::{Decision, NewValue, Patch, SettingName, SettingValue, Target};

use crate::bindings::types;
use crate::output::printable;
use crate::view::AppView;

/// The decision of a policy about one event and one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDecision {
    /// The decision itself. It has not been checked against a grant.
    pub decision: Decision,
    /// The lines that the policy printed, each with a label: `stdout: ...` or `stderr: ...`.
    pub log: Vec<String>,
    /// The time from creating the instance to the decision.
    pub elapsed: Duration,
    /// The peak size of the policy's memories, in bytes.
    pub memory: usize,
}

/// The size of a returned decision in our memory, in bytes.
pub(crate) fn size(returned: &Result<types::Decision, String>) -> usize {
    let patch = |patch: &types::Patch| {
        let set = patch
            .set
            .iter()
            .map(|(name, value)| size_of_val(value) + name.len() + text_of(value));
        let remove = patch
            .remove
            .iter()
            .map(|name| size_of_val(name) + name.len());
        set.chain(remove).sum()
    };
    match returned {
        Ok(types::Decision::Patch(entries)) => patch(entries),
        Ok(types::Decision::Refresh) => 0,
        Ok(types::Decision::Notice(text) | types::Decision::Skip(text)) | Err(text) => text.len(),
    }
}

fn text_of(value: &types::NewValue) -> usize {
    match value {
        types::NewValue::Reference(reference) => {
            reference.vault_host.len()
                + reference.secret.len()
                + reference.version.as_ref().map_or(0, String::len)
        }
        types::NewValue::Text(text) => text.len(),
    }
}

/// Converts a decision. The error names the invalid part.
pub(crate) fn convert(decision: types::Decision, app: &AppView<'_>) -> Result<Decision, String> {
    let text = |text: String| {
        let mut text = printable(&text);
        app.redact(&mut text);
        text
    };
    Ok(match decision {
        types::Decision::Patch(entries) => Decision::Patch(patch(entries, app)?),
        types::Decision::Refresh => Decision::Refresh,
        types::Decision::Notice(notice) => Decision::Notice(text(notice)),
        types::Decision::Skip(reason) => Decision::Skip(text(reason)),
    })
}

fn patch(patch: types::Patch, app: &AppView<'_>) -> Result<Patch, String> {
    let set = patch
        .set
        .into_iter()
        .map(|(name, value)| Ok((setting_name(&name, app)?, new_value(&name, value)?)));
    let remove = patch.remove.iter().map(|name| setting_name(name, app));
    Ok(Patch {
        set: set.collect::<Result<_, String>>()?,
        remove: remove.collect::<Result<_, String>>()?,
    })
}

/// Accepts every name that the app already has. A new name must consist of the characters that
/// Azure allows.
fn setting_name(name: &str, app: &AppView<'_>) -> Result<SettingName, String> {
    match app
        .settings
        .binary_search_by(|setting| setting.name.as_str().cmp(name))
    {
        Ok(_) => Ok(SettingName::listed(name)),
        Err(_) => name.parse().map_err(|error| printable(&format!("{error}"))),
    }
}

fn new_value(name: &str, value: types::NewValue) -> Result<NewValue, String> {
    match value {
        types::NewValue::Reference(reference) => target(&reference)
            .map(NewValue::Reference)
            .map_err(|error| {
                printable(&format!(
                    "it sets `{name}` to an invalid reference: {error}"
                ))
            }),
        types::NewValue::Text(text) => Ok(NewValue::Text(SettingValue::new(text))),
    }
}

fn target(reference: &types::ReferenceResult) -> Result<Target, keyrelay_model::NameError> {
    Ok(Target {
        vault_host: reference.vault_host.parse()?,
        secret: reference.secret.parse()?,
        version: reference.version.as_deref().map(str::parse).transpose()?,
    })
}
