//! What Azure says when it says no.

use std::fmt;
use std::time::Duration;

use keyrelay_model::{SettingValue, Settings};
use serde_json::{Map, Value};

use crate::request_log::RequestIds;

/// An answer with another status than success. The body itself is not kept: only its code and its message, cut to a
/// readable length, and without what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// The status.
    pub status: u16,
    /// Azure's error code: `AuthorizationFailed`.
    pub code: Option<String>,
    /// The code within, where Key Vault says more: `ForbiddenByRbac`.
    pub inner_code: Option<String>,
    /// Azure's message.
    pub message: Option<String>,
    /// The request's ids.
    pub ids: RequestIds,
    /// How long Azure asks to wait before the next attempt.
    pub retry_after: Option<Duration>,
}

impl ErrorAnswer {
    /// Longest code that is kept, in characters. The longest of Azure's has about 60.
    const MAX_CODE: usize = 100;
    /// Longest message that is kept, in characters: Resource Manager's on missing rights have about 400.
    const MAX_MESSAGE: usize = 600;

    /// Reads an error body in either shape: `{"error":{"code","message"}}` as Resource Manager and Key Vault write it,
    /// or `{"Code","Message",...}` as Microsoft.Web does. Anything else has neither code nor message.
    pub(crate) fn with_body(mut self, body: &[u8], sent: Option<&Settings>) -> Self {
        let Ok(Value::Object(outer)) = serde_json::from_slice(body) else {
            return self;
        };
        let inner = match field(&outer, "error") {
            Some(Value::Object(inner)) => inner,
            _ => &outer,
        };
        let text =
            |fields: &Map<String, Value>, name| Some(field(fields, name)?.as_str()?.to_owned());
        let clean = |text: String, length| one_line(&without_values(&text, sent), length);
        self.code = text(inner, "code").map(|code| clean(code, Self::MAX_CODE));
        self.message = text(inner, "message").map(|message| clean(message, Self::MAX_MESSAGE));
        let innermost = field(inner, "innererror").and_then(Value::as_object);
        self.inner_code = innermost
            .and_then(|it| text(it, "code"))
            .map(|code| clean(code, Self::MAX_CODE));
        self
    }

    /// See [`AzureError::may_be_a_fresh_role`](super::AzureError::may_be_a_fresh_role).
    pub(crate) fn may_be_a_fresh_role(&self) -> bool {
        let codes = [
            "AuthorizationFailed",
            "LinkedAuthorizationFailed",
            "ForbiddenByRbac",
        ];
        self.status == 403 && codes.iter().any(|code| self.has_code(code))
    }

    pub(crate) fn has_code(&self, code: &str) -> bool {
        let is = |own: &Option<String>| {
            own.as_deref()
                .is_some_and(|own| own.eq_ignore_ascii_case(code))
        };
        is(&self.code) || is(&self.inner_code)
    }
}

impl fmt::Display for ErrorAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Azure answered {}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(code) = &self.inner_code {
            write!(f, " ({code})")?;
        }
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ErrorAnswer {}

/// A field by its name in whatever case.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The text on one line, with at most `length` characters.
pub(crate) fn one_line(text: &str, length: usize) -> String {
    let mut words = String::new();
    for word in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    match words.char_indices().nth(length) {
        Some((end, _)) => format!("{}...", words.get(..end).unwrap_or_default()),
        None => words,
    }
}

/// The text without the values that were sent, whole or in parts: a message may quote what it complains about.
fn without_values(text: &str, sent: Option<&Settings>) -> String {
    const HIDDEN: &str = "[hidden]";
    let Some(sent) = sent else {
        return text.to_owned();
    };
    let mut values: Vec<&str> = sent
        .iter()
        .map(|(_, value)| SettingValue::expose(value))
        .collect();
    // The longest first: a value may be a part of another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let mut text = text.to_owned();
    for value in values.iter().filter(|value| value.len() >= SHORTEST_PART) {
        text = text.replace(value, HIDDEN);
    }
    let quoted = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`' | '\\');
    let words = text.split_inclusive(quoted).map(|piece| {
        let word = piece
            .trim_end_matches(quoted)
            .trim_matches(|c| matches!(c, '.' | ',' | ';' | ':' | '(' | ')'));
        if is_part(word, &values) {
            piece.replace(word, HIDDEN)
        } else {
            piece.to_owned()
        }
    });
    words.collect()
}

/// Parts of values that are shorter than this, in bytes, tell nothing and are in every other word.
const SHORTEST_PART: usize = 4;

fn is_part(word: &str, values: &[&str]) -> bool {
    !word.is_empty()
        && values
            .iter()
            .any(|value| *value == word || (word.len() >= SHORTEST_PART && value.contains(word)))
}
