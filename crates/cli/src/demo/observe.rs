//! The observation of the handler through its log.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, bail};
use keyrelay_local_azure::functions_host::{FunctionsHost, LogLine};
use serde_json::{Map, Value};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::out;

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

    /// Prints every line of the Functions host's log from now on.
    pub(super) fn print_all(host: &FunctionsHost) {
        let mut lines = host.log().subscribe();
        tokio::spawn(async move {
            while let Ok(line) = lines.recv().await {
                out::line(&line.to_string());
            }
        });
    }
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
