//! The record of all calls, redacted.

use std::collections::HashMap;

use keyrelay_azure::{Failure, RawResponse};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::operation::{App, Operation};
use super::placeholders::Placeholders;
use super::redact::{self, Redaction};

/// The calls so far. A call is in it from its beginning, so that an interruption does not lose it.
pub(super) struct Journal {
    started: Instant,
    calls: Vec<Recorded>,
    pub(super) placeholders: Placeholders,
    vault_suffix: String,
}

/// A call without anything private.
struct Recorded {
    operation: Operation,
    app: App,
    api_version: String,
    at_ms: u128,
    duration_ms: Option<u128>,
    status: Option<u16>,
    code: Option<String>,
    failure: Option<&'static str>,
    denied_action: Option<String>,
    headers: Map<String, Value>,
    body: Value,
}

/// A right that is missing, as the calls show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MissingRight {
    pub(super) call: String,
    pub(super) right: &'static str,
    /// The action that Azure names, which may be another one.
    pub(super) named_by_azure: Option<String>,
    pub(super) status: u16,
    pub(super) code: Option<String>,
}

impl Journal {
    pub(super) fn new(vault_suffix: &str) -> Self {
        Self {
            started: Instant::now(),
            calls: Vec::new(),
            placeholders: Placeholders::default(),
            vault_suffix: vault_suffix.to_owned(),
        }
    }

    /// Records the beginning of a call, and returns its index.
    pub(super) fn begin(&mut self, operation: Operation, app: App, api_version: &str) -> usize {
        self.calls.push(Recorded {
            operation,
            app,
            api_version: api_version.to_owned(),
            at_ms: self.started.elapsed().as_millis(),
            duration_ms: None,
            status: None,
            code: None,
            failure: None,
            denied_action: None,
            headers: Map::new(),
            body: Value::Null,
        });
        self.calls.len() - 1
    }

    /// Records the end of a call, and returns the body of its response.
    pub(super) fn end(&mut self, index: usize, result: &Result<RawResponse, Failure>) -> Value {
        let Some(call) = self.calls.get_mut(index) else {
            return Value::Null;
        };
        call.duration_ms = Some(self.started.elapsed().as_millis() - call.at_ms);
        let response = match result {
            Ok(response) => response,
            Err(failure) => {
                call.failure = Some(kind_of(failure));
                return Value::Null;
            }
        };
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        call.status = Some(response.status);
        call.headers = redact::headers(&response.headers);
        if !(200..300).contains(&response.status) {
            call.code = redact::code(&body);
            call.denied_action = redact::denied_action(&body, &self.placeholders);
        }
        call.body = Redaction {
            placeholders: &mut self.placeholders,
            vault_suffix: &self.vault_suffix,
            shape: call.operation.shape(call.app),
        }
        .body(&body);
        body
    }

    pub(super) fn any_succeeded(&self) -> bool {
        let mut statuses = self.calls.iter().filter_map(|call| call.status);
        statuses.any(|status| (200..300).contains(&status))
    }

    /// The rights that are missing, each once.
    pub(super) fn missing_rights(&self) -> Vec<MissingRight> {
        let mut missing: Vec<MissingRight> = Vec::new();
        for call in &self.calls {
            let Some(status @ (401 | 403)) = call.status else {
                continue;
            };
            let right = MissingRight {
                call: call.operation.label(call.app),
                right: call.operation.right(call.app),
                named_by_azure: call.denied_action.clone(),
                status,
                code: call.code.clone(),
            };
            if !missing.iter().any(|it| it.call == right.call) {
                missing.push(right);
            }
        }
        missing
    }

    /// The calls for the file. A body that was already there is replaced by the number of its call:
    /// most statuses are those of the call before.
    pub(super) fn to_json(&self) -> Vec<Value> {
        let mut bodies = HashMap::new();
        let numbered = self.calls.iter().zip(1_usize..);
        numbered
            .map(|(call, number)| {
                let mut fields = json!({
                    "number": number,
                    "call": call.operation.label(call.app),
                    "api_version": call.api_version,
                    "at_ms": call.at_ms,
                    "duration_ms": call.duration_ms,
                    "status": call.status,
                    "code": call.code,
                    "failure": call.failure,
                    "headers": call.headers,
                });
                let first = *bodies.entry(call.body.to_string()).or_insert(number);
                let (name, value) = if first == number || call.body.is_null() {
                    ("body", call.body.clone())
                } else {
                    ("body_as_in_call", first.into())
                };
                if let Some(fields) = fields.as_object_mut() {
                    fields.insert(name.to_owned(), value);
                }
                fields
            })
            .collect()
    }
}

impl MissingRight {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "call": self.call,
            "right": self.right,
            "named_by_azure": self.named_by_azure,
            "status": self.status,
            "code": self.code,
        })
    }
}

/// The kind of a failure. Its text may name a host or a tenant.
fn kind_of(failure: &Failure) -> &'static str {
    match failure {
        Failure::Token(_) => "no token",
        Failure::NotSent(_) => "no connection",
        Failure::NoResponse(_) => "connection lost",
        Failure::TimedOut { .. } | Failure::DeadlineExceeded => "no response in time",
        Failure::TooLarge { .. } => "response too large",
        _ => "not sent",
    }
}
