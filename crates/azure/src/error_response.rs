//! Azure's error responses.

use std::fmt;
use std::time::Duration;

use keyrelay_model::{SettingValue, Settings};
use serde_json::{Map, Value};

use crate::authorization_failure::AuthorizationFailure;
use crate::excerpt::excerpt;
use crate::request_log::RequestIds;

/// A response with a status other than success, or with an error beside its results.
///
/// The body is not kept. Its code and its message are, cut to a readable length and without the
/// values that were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: u16,
    /// Azure's error code: `AuthorizationFailed`.
    pub code: Option<String>,
    /// The inner error code, which Key Vault uses for details: `ForbiddenByRbac`.
    pub inner_code: Option<String>,
    /// Azure's message.
    pub message: Option<String>,
    /// The ids of the request.
    pub ids: RequestIds,
    /// The pause that Azure requests before the next attempt.
    pub retry_after: Option<Duration>,
}

impl ErrorResponse {
    /// The maximum length of a code, in characters. Azure's longest has about 60.
    const MAX_CODE: usize = 100;
    /// The maximum length of a message, in characters. Resource Manager's about missing permissions
    /// have about 400.
    const MAX_MESSAGE: usize = 600;

    /// Reads an error body of either shape: `{"error":{"code","message"}}` as Resource Manager and
    /// Key Vault write it, or `{"Code","Message",...}` as Microsoft.Web does. Any other body has
    /// neither code nor message.
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
        let clean = |text: String, length| excerpt(&without_values(&text, sent), length);
        self.code = text(inner, "code").map(|code| clean(code, Self::MAX_CODE));
        self.message = text(inner, "message").map(|message| clean(message, Self::MAX_MESSAGE));
        let innermost = field(inner, "innererror").and_then(Value::as_object);
        self.inner_code = innermost
            .and_then(|it| text(it, "code"))
            .map(|code| clean(code, Self::MAX_CODE));
        self
    }

    /// See [`AzureError::may_be_role_propagation`](crate::AzureError::may_be_role_propagation).
    pub(crate) fn may_be_role_propagation(&self) -> bool {
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

    /// The status with the error codes: `403 Forbidden (ForbiddenByRbac)`.
    fn write_status(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        match &self.inner_code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Azure responded with ")?;
        self.write_status(f)?;
        let Some(message) = &self.message else {
            return Ok(());
        };
        match AuthorizationFailure::parse(message).filter(|_| self.may_be_role_propagation()) {
            Some(failure) => write!(f, ": {failure}"),
            None => write!(f, ": {message}"),
        }
    }
}

impl std::error::Error for ErrorResponse {}

/// Finds a field by its name, ignoring case.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// Removes the values that were sent, and parts of them, from a message: it may quote an invalid
/// value.
fn without_values(text: &str, sent: Option<&Settings>) -> String {
    const HIDDEN: &str = "[hidden]";
    let Some(sent) = sent else {
        return text.to_owned();
    };
    let mut values: Vec<&str> = sent
        .iter()
        .map(|(_, value)| SettingValue::expose(value))
        .collect();
    // Longest first, because one value may contain another.
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

/// The length in bytes from which a part of a value is hidden. Shorter parts occur in ordinary
/// words and reveal nothing.
const SHORTEST_PART: usize = 4;

fn is_part(word: &str, values: &[&str]) -> bool {
    !word.is_empty()
        && values
            .iter()
            .any(|value| *value == word || (word.len() >= SHORTEST_PART && value.contains(word)))
}
