//! Converts a policy's decision from the contract's types to the model's.

use std::time::Duration;

use keyrelay_model::{
    Decision, Event, NewValue, Patch, SecretName, SecretVersion, SettingName, SettingValue, Target,
    VaultHost,
};

use crate::bindings::types;
use crate::redaction::{self, Redaction};
use crate::view::{AppView, VisibleValue};

/// The decision of a policy about one event and one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDecision {
    /// The decision itself. It has not been checked against a grant.
    pub decision: Decision,
    /// The lines that the policy printed, each with a label: `stdout: ...` or `stderr: ...`. Before
    /// them, `keyrelay: ...` for each revealed value that was too short to be shown.
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
pub(crate) fn convert(
    decision: types::Decision,
    event: &Event,
    app: &AppView<'_>,
    redaction: &Redaction,
) -> Result<Decision, String> {
    let names = Names {
        event,
        app,
        redaction,
    };
    Ok(match decision {
        types::Decision::Patch(entries) => Decision::Patch(names.patch(entries)?),
        types::Decision::Refresh => Decision::Refresh,
        types::Decision::Notice(notice) => Decision::Notice(redaction.printable(&notice)),
        types::Decision::Skip(reason) => Decision::Skip(redaction.printable(&reason)),
    })
}

/// The check of the names in a patch. They are written to logs and records, so they must not hold a
/// revealed value.
struct Names<'a> {
    event: &'a Event,
    app: &'a AppView<'a>,
    redaction: &'a Redaction,
}

impl Names<'_> {
    fn patch(&self, patch: types::Patch) -> Result<Patch, String> {
        let set = patch
            .set
            .into_iter()
            .map(|(name, value)| Ok((self.setting(&name)?, self.new_value(&name, value)?)));
        let remove = patch.remove.iter().map(|name| self.setting(name));
        Ok(Patch {
            set: set.collect::<Result<_, String>>()?,
            remove: remove.collect::<Result<_, String>>()?,
        })
    }

    /// Accepts every name that the app already has. A new name must consist of the characters that
    /// Azure allows.
    fn setting(&self, name: &str) -> Result<SettingName, String> {
        let settings = self.app.settings;
        if settings
            .binary_search_by(|setting| setting.name.as_str().cmp(name))
            .is_ok()
        {
            return Ok(SettingName::listed(name));
        }
        self.check(name)?;
        name.parse()
            .map_err(|error| self.redaction.printable(&format!("{error}")))
    }

    fn new_value(&self, name: &str, value: types::NewValue) -> Result<NewValue, String> {
        match value {
            types::NewValue::Reference(reference) => {
                self.check(&reference.vault_host)?;
                self.check(&reference.secret)?;
                self.check(reference.version.as_deref().unwrap_or_default())?;
                let invalid = |error| format!("it sets `{name}` to an invalid reference: {error}");
                target(&reference)
                    .map(NewValue::Reference)
                    .map_err(|error| self.redaction.printable(&invalid(error)))
            }
            types::NewValue::Text(text) => {
                // Messages about a text that is a reference contain the names in it.
                if text.trim_start().starts_with('@') {
                    self.check(&text)?;
                }
                Ok(NewValue::Text(SettingValue::new(text)))
            }
        }
    }

    /// Refuses a name that holds a revealed value, unless it is known from elsewhere.
    fn check(&self, name: &str) -> Result<(), String> {
        if name.len() > redaction::READ {
            let limit = redaction::READ >> 10;
            return Err(format!("a name in it is longer than {limit} KiB"));
        }
        match self.redaction.revealed_in(name) {
            Some(setting) if !self.is_known(name) => Err(self.redaction.printable(&format!(
                "a name in it holds the plain text of `{setting}`, which is revealed to the policy and must not be in \
                 logs; if it is meant to be that name, list it in the rotation's grant"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether a name is part of the event, of the configuration, or of a reference in the app.
    fn is_known(&self, name: &str) -> bool {
        let is_part = |host: &VaultHost, secret: &SecretName, version: Option<&SecretVersion>| {
            let version = version.is_some_and(|version| version.as_str() == name);
            version || [host.as_str(), secret.as_str()].contains(&name)
        };
        let Event {
            vault_host,
            name: secret,
            version,
            ..
        } = self.event;
        let mut references = self.app.settings.iter().filter_map(|it| match &it.value {
            VisibleValue::Reference(target) => Some(target),
            _ => None,
        });
        let mut parameters = self.app.parameters.values();
        is_part(vault_host, secret, version.as_ref())
            || self.app.grant.lists(name, vault_host)
            || parameters.any(|text| text.contains(name))
            || references.any(|it| is_part(&it.vault_host, &it.secret, it.version.as_ref()))
    }
}

fn target(reference: &types::ReferenceResult) -> Result<Target, keyrelay_model::NameError> {
    Ok(Target {
        vault_host: reference.vault_host.parse()?,
        secret: reference.secret.parse()?,
        version: reference.version.as_deref().map(str::parse).transpose()?,
    })
}
