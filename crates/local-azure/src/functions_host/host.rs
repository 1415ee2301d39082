//! The state that the listener and the public API share.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::envelope;
use super::error::NoSuchFunction;
use super::files::function::{Function, FunctionTrigger};
use super::handler::HandlerStatus;
use super::instances::RoundRobin;
use super::invocation::{Invocation, InvocationFailure};
use super::invoker::Invoker;
use super::random_hex::random_hex;
use super::timer::Timer;

/// The functions of the app, the invoker that runs them, and the host's keys.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) functions: BTreeMap<String, Function>,
    pub(super) timers: BTreeMap<String, Arc<Timer>>,
    pub(super) route_prefix: String,
    pub(super) invoker: Arc<Invoker>,
    /// The round of events and requests. Each timer has its own.
    pub(super) round: RoundRobin,
    pub(super) double_encoded: bool,
    pub(super) event_grid_key: String,
    pub(super) master_key: String,
}

impl Host {
    pub(super) fn new(
        functions: BTreeMap<String, Function>,
        route_prefix: String,
        invoker: Invoker,
        double_encoded: bool,
    ) -> Self {
        Self {
            timers: Timer::of_functions(&functions),
            functions,
            route_prefix,
            invoker: Arc::new(invoker),
            round: RoundRobin::default(),
            double_encoded,
            event_grid_key: random_hex(),
            master_key: random_hex(),
        }
    }

    /// The function of this name, if its trigger is Event Grid.
    pub(super) fn event_function(&self, name: &str) -> Result<&Function, NoSuchFunction> {
        let function = self.functions.get(name);
        function
            .filter(|function| {
                matches!(
                    function.trigger,
                    FunctionTrigger::Event | FunctionTrigger::Events
                )
            })
            .ok_or_else(|| NoSuchFunction(name.to_owned()))
    }

    /// Runs an event function with one event, or with an array of events if its cardinality is
    /// `many`.
    pub(super) async fn run_with_events(&self, function: &Function, value: &Value) -> Invocation {
        let body = match (&function.trigger, value) {
            (FunctionTrigger::Events, Value::Array(_))
            | (FunctionTrigger::Event, Value::Object(_)) => {
                Ok(envelope::of_events(function, value, self.double_encoded))
            }
            (FunctionTrigger::Events, _) => Err(InvocationFailure::Unbound("an array of events")),
            _ => Err(InvocationFailure::Unbound("an event")),
        };
        self.invoker.run(function, &self.round, body).await
    }

    /// The response of a host that has stopped, if this one has.
    pub(super) fn stopped_response(&self) -> Option<Response> {
        match self.invoker.instances.status() {
            HandlerStatus::Stopped(_) => Some(
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Function host is not running.",
                )
                    .into_response(),
            ),
            _ => None,
        }
    }

    /// Whether `x-functions-key` holds the master key.
    pub(super) fn has_master_key(&self, headers: &HeaderMap) -> bool {
        text_of(headers, "x-functions-key") == Some(&self.master_key)
    }
}

/// The value of a header, if it is text.
pub(super) fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
