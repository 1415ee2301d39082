//! The observation of the handler through its log.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use keyrelay_local_azure::functions_host::{FunctionsHost, LogLine};
use serde_json::{Map, Value};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::{host_line, out};

/// The lines that the handler logs from now on.
pub(super) struct HandlerLines(Receiver<LogLine>);

impl HandlerLines {
    pub(super) fn follow(host: &FunctionsHost) -> Self {
        Self(host.log().subscribe())
    }

    /// The next line with a verdict about a secret.
    pub(super) async fn rotation_of(&mut self, secret: &str) -> anyhow::Result<Map<String, Value>> {
        loop {
            let line = match self.0.recv().await {
                Ok(line) => line,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => bail!("the Functions host has ended"),
            };
            let Ok(Value::Object(fields)) = serde_json::from_str(&line.text) else {
                continue;
            };
            let about = fields.get("secret.name").and_then(Value::as_str);
            if about == Some(secret) && fields.contains_key("verdict") {
                return Ok(fields);
            }
        }
    }

    /// The next beginning of an invocation of the timer.
    pub(super) async fn timer(&mut self) -> anyhow::Result<()> {
        loop {
            match self.0.recv().await {
                Ok(line) if line.text.contains("Executing 'Functions.Reconcile'") => return Ok(()),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => bail!("the Functions host has ended"),
            }
        }
    }

    /// Prints the Functions host's log from now on, in short lines.
    pub(super) fn print_all(host: &FunctionsHost) {
        let mut lines = host.log().subscribe();
        tokio::spawn(async move {
            loop {
                match lines.recv().await.as_ref().map(host_line::readable) {
                    Ok(Some(line)) => out::styled_line(&line),
                    Ok(None) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
    }
}

/// Prints a field of a log line, if it has it.
pub(super) fn print_field(line: &Map<String, Value>, field: &str) {
    if let Some(value) = line.get(field) {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        out::line(&format!("   {field:13} {text}"));
    }
}

/// Checks a field of a log line.
pub(super) fn expect(line: &Map<String, Value>, field: &str, expected: &str) -> anyhow::Result<()> {
    let found = line.get(field).and_then(Value::as_str).unwrap_or_default();
    ensure!(
        found == expected,
        "the {field} is `{found}` and not `{expected}`"
    );
    Ok(())
}

/// Waits for `work` with a timeout.
pub(super) async fn until<T>(
    patience: Duration,
    what: &str,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let late = || format!("{what}: not within {} s", patience.as_secs());
    tokio::time::timeout(patience, work)
        .await
        .with_context(late)?
}
