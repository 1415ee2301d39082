//! One invocation: the call of the handler, and what its answer means.

mod answer;

use std::time::{Duration, Instant};

use reqwest::header;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Host;
use super::files::Function;
use super::handler::HandlerStatus;
use super::instances::{Target, Turn};
use super::log::{HostLog, LogLevel, LogSource};
use answer::{Answer, read_answer};

/// What the host calls itself in the `X-Azure-Functions-HostVersion` header.
pub(super) const HOST_VERSION: &str = "4.1045.200.26155";

/// One invocation that has ended.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The id in `X-Azure-Functions-InvocationId`; new for every invocation.
    pub id: String,
    /// The function's name.
    pub function: String,
    /// The instance whose handler was called, counted from 0. None: no handler was called.
    pub instance: Option<usize>,
    /// From the moment the host had to run it, so a handler that has to start first is part of it.
    pub duration: Duration,
    /// The handler's answer, or why there is none that counts.
    pub outcome: Result<Value, Failure>,
}

/// Why an invocation failed. Event Grid will deliver its events again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The trigger's value is not what the function's trigger binds to; the handler was not called.
    #[error("the trigger's value is not {0}")]
    Unbound(&'static str),
    /// There is no handler to call.
    #[error("the handler is {0}")]
    NoHandler(HandlerStatus),
    /// The connection failed or was cut.
    #[error("the call of the handler failed: {0}")]
    Connection(String),
    /// A status other than 2xx. Body and `Logs` are thrown away.
    #[error("the handler answered with status {0}")]
    Status(u16),
    /// A body of another type than JSON.
    #[error("the handler answered with the content type `{0}`")]
    ContentType(String),
    /// A body that says it is JSON, and is not an object as the host expects it.
    #[error("the handler's answer is not {0}")]
    NotAnAnswer(&'static str),
    /// There was no answer, or an empty one, until the time of the function was over. The handler was killed.
    #[error("there was no answer within {0:?}")]
    TimedOut(Duration),
}

impl Host {
    /// Runs a function where it is the next turn, records the invocation and logs its beginning and end.
    pub(super) async fn run(
        &self,
        function: &Function,
        turn: &Turn,
        body: Result<Vec<u8>, Failure>,
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
                .next_running(turn)
                .await
                .map(|it| (it, body))
                .map_err(Failure::NoHandler),
            Err(failure) => Err(failure),
        };
        let (instance, outcome) = match called {
            Ok((target, body)) => (
                Some(target.instance),
                self.call_in_time(function, &id, target, body).await,
            ),
            Err(failure) => (None, Err(failure)),
        };
        let duration = started.elapsed();
        let milliseconds = duration.as_millis();
        let (level, text) = match &outcome {
            Ok(_) => (
                LogLevel::Information,
                format!(
                    "Executed 'Functions.{name}' (Succeeded, Id={id}, Duration={milliseconds}ms)"
                ),
            ),
            Err(failure) => (
                LogLevel::Error,
                format!(
                    "Executed 'Functions.{name}' (Failed, Id={id}, Duration={milliseconds}ms): {failure}"
                ),
            ),
        };
        self.log_of(instance)
            .write(level, LogSource::Host, Some(&id), text);
        let invocation = Invocation {
            id,
            function: name.clone(),
            instance,
            duration,
            outcome,
        };
        self.invocations.push(invocation.clone());
        invocation
    }

    /// Calls the handler; when the time is over, kills it, and every other invocation of that instance dies with it.
    async fn call_in_time(
        &self,
        function: &Function,
        id: &str,
        target: Target,
        body: Vec<u8>,
    ) -> Result<Value, Failure> {
        let call = self.call(function, id, target, body);
        match tokio::time::timeout(self.function_timeout, call).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.instances.restart(target);
                Err(Failure::TimedOut(self.function_timeout))
            }
        }
    }

    /// Calls the handler. Never returns if the answer is one on which the real host waits for ever.
    async fn call(
        &self,
        function: &Function,
        id: &str,
        target: Target,
        body: Vec<u8>,
    ) -> Result<Value, Failure> {
        let trace = format!("00-{}-{}-01", Uuid::new_v4().simple(), short_id());
        let response = self
            .client
            .post(format!(
                "http://127.0.0.1:{}/{}",
                target.port, function.name
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
            .map_err(|error| Failure::Connection(innermost(&error)))?;
        match read_answer(response).await? {
            Answer::Given(answer) => {
                self.log_lines_of(&answer, function, id, target);
                Ok(Value::Object(answer))
            }
            Answer::Nothing => std::future::pending().await,
        }
    }

    fn log_lines_of(
        &self,
        answer: &Map<String, Value>,
        function: &Function,
        id: &str,
        target: Target,
    ) {
        let log = self.log_of(Some(target.instance));
        let lines = answer::field(answer, "Logs").and_then(Value::as_array);
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
fn short_id() -> String {
    let mut id = Uuid::new_v4().simple().to_string();
    id.truncate(16);
    id
}

/// The text of the last error in a chain: `connection refused` rather than `error sending request`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
