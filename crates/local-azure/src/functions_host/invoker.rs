//! The calls of the handler.

use std::time::{Duration, Instant};

use reqwest::header;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::files::function::Function;
use super::handler_response::{self, HandlerResponse};
use super::instances::{Instances, RoundRobin, RunningHandler};
use super::invocation::{Invocation, InvocationFailure};
use super::log::{HostLog, LogLevel, LogSource};
use crate::journal::Journal;

/// The host's version in the `X-Azure-Functions-HostVersion` header.
pub(super) const HOST_VERSION: &str = "4.1045.200.26155";

/// The number of invocations that are kept in memory.
const KEPT_INVOCATIONS: usize = 10_000;

/// Runs functions on the handlers of all instances.
#[derive(Debug)]
pub(super) struct Invoker {
    pub(super) instances: Instances,
    pub(super) log: HostLog,
    client: reqwest::Client,
    function_timeout: Duration,
    invocations: Journal<Invocation>,
}

impl Invoker {
    pub(super) fn new(
        instances: Instances,
        client: reqwest::Client,
        function_timeout: Duration,
        log: HostLog,
    ) -> Self {
        Self {
            instances,
            log,
            client,
            function_timeout,
            invocations: Journal::new(KEPT_INVOCATIONS),
        }
    }

    /// The last invocations, oldest first.
    pub(super) fn invocations(&self) -> Vec<Invocation> {
        self.invocations.snapshot()
    }

    /// Runs a function on the next running instance, and records and logs the invocation.
    pub(super) async fn run(
        &self,
        function: &Function,
        round: &RoundRobin,
        body: Result<Vec<u8>, InvocationFailure>,
    ) -> Invocation {
        let id = Uuid::new_v4().to_string();
        let name = &function.name;
        self.log.write(
            LogLevel::Information,
            LogSource::Host,
            Some(&id),
            format!("Executing 'Functions.{name}' (Id={id})"),
        );
        let started = Instant::now();
        let called = match body {
            Ok(body) => self
                .instances
                .next_running(round)
                .await
                .map(|it| (it, body))
                .map_err(InvocationFailure::NoHandler),
            Err(failure) => Err(failure),
        };
        let (instance, outcome) = match called {
            Ok((handler, body)) => (
                Some(handler.instance),
                self.call_in_time(function, &id, handler, body).await,
            ),
            Err(failure) => (None, Err(failure)),
        };
        let invocation = Invocation {
            id,
            function: name.clone(),
            instance,
            duration: started.elapsed(),
            outcome,
        };
        self.log_end(&invocation);
        self.invocations.push(invocation.clone());
        invocation
    }

    fn log_end(&self, invocation: &Invocation) {
        let Invocation { id, function, .. } = invocation;
        let milliseconds = invocation.duration.as_millis();
        let (level, text) = match &invocation.outcome {
            Ok(_) => (
                LogLevel::Information,
                format!(
                    "Executed 'Functions.{function}' (Succeeded, Id={id}, Duration={milliseconds}ms)"
                ),
            ),
            Err(failure) => (
                LogLevel::Error,
                format!(
                    "Executed 'Functions.{function}' (Failed, Id={id}, Duration={milliseconds}ms): {failure}"
                ),
            ),
        };
        self.log_of(invocation.instance)
            .write(level, LogSource::Host, Some(id), text);
    }

    /// Calls the handler within the function timeout. On timeout the handler is killed, with all
    /// other invocations of its instance.
    async fn call_in_time(
        &self,
        function: &Function,
        id: &str,
        handler: RunningHandler,
        body: Vec<u8>,
    ) -> Result<Value, InvocationFailure> {
        let call = self.call(function, id, handler, body);
        match tokio::time::timeout(self.function_timeout, call).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.instances.restart(handler);
                Err(InvocationFailure::TimedOut(self.function_timeout))
            }
        }
    }

    /// Calls the handler. Never returns on a response that makes the real host wait indefinitely.
    async fn call(
        &self,
        function: &Function,
        id: &str,
        handler: RunningHandler,
        body: Vec<u8>,
    ) -> Result<Value, InvocationFailure> {
        let trace = format!("00-{}-{}-01", Uuid::new_v4().simple(), span_id());
        let response = self
            .client
            .post(format!(
                "http://127.0.0.1:{}/{}",
                handler.port, function.name
            ))
            .header("X-Azure-Functions-InvocationId", id)
            .header("X-Azure-Functions-HostVersion", HOST_VERSION)
            .header(
                header::USER_AGENT,
                format!("Azure-Functions-Host/{HOST_VERSION}"),
            )
            .header("traceparent", trace)
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .header(header::TRANSFER_ENCODING, "chunked")
            .body(body)
            .send()
            .await
            .map_err(|error| InvocationFailure::Connection(handler_response::innermost(&error)))?;
        match handler_response::read(response).await? {
            HandlerResponse::Object(response) => {
                self.write_logs(&response, function, id, handler);
                Ok(Value::Object(response))
            }
            HandlerResponse::Empty => std::future::pending().await,
        }
    }

    /// Writes the `Logs` of a response to the host's log.
    fn write_logs(
        &self,
        response: &Map<String, Value>,
        function: &Function,
        id: &str,
        handler: RunningHandler,
    ) {
        let log = self.log_of(Some(handler.instance));
        let lines = handler_response::field(response, "Logs").and_then(Value::as_array);
        for line in lines.into_iter().flatten() {
            let text = line
                .as_str()
                .map_or_else(|| line.to_string(), str::to_owned);
            log.write(
                LogLevel::Information,
                LogSource::Function(function.name.clone()),
                Some(id),
                text,
            );
        }
    }

    fn log_of(&self, instance: Option<usize>) -> HostLog {
        instance.map_or_else(
            || self.log.clone(),
            |instance| self.log.of_instance(instance),
        )
    }
}

/// Sixteen hexadecimal digits.
fn span_id() -> String {
    let mut id = Uuid::new_v4().simple().to_string();
    id.truncate(16);
    id
}
