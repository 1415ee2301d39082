//! What a policy has answered, taken from the types of the contract into ours.

use std::time::Duration;

use keyrelay_model::{Decision, NewValue, Patch, SettingName, SettingValue, Target};

use crate::bindings::types;
use crate::output::printable;
use crate::view::AppView;

/// What a policy has answered for one event and one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it wants to happen: not checked against any grant yet.
    pub decision: Decision,
    /// What it printed, line by line, each with a label: `stdout: ...` or `stderr: ...`.
    pub log: Vec<String>,
    /// How long it took, from a fresh instance to the answer.
    pub elapsed: Duration,
    /// How large its memories were at their largest, in bytes.
    pub memory: usize,
}

/// What an answer takes in our memory, in bytes.
pub(crate) fn size(answer: &Result<types::Decision, String>) -> usize {
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
    match answer {
        Ok(types::Decision::Patch(answer)) => patch(answer),
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

/// Takes a decision over. The error says which of its parts cannot be what it should be.
pub(crate) fn decision(decision: types::Decision, app: &AppView<'_>) -> Result<Decision, String> {
    let text = |text: String| {
        let mut text = printable(&text);
        app.redact(&mut text);
        text
    };
    Ok(match decision {
        types::Decision::Patch(answer) => Decision::Patch(patch(answer, app)?),
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

/// A name that the app has is a name, whatever it looks like; a new one must be made of what Azure allows.
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
                    "it sets `{name}` to a reference that is none: {error}"
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
