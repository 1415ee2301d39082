//! The calls of a calibration, one after the other, and the state of the secret.

use std::time::Duration;

use keyrelay_azure::{Cloud, Deadline, RawClient, RawRequest};
use keyrelay_model::AppId;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::journal::Journal;
use super::operation::{App, Operation};
use super::rows::{Row, SecretId};
use crate::out;

/// The time limit of a call. A refresh may last as long as the resolution.
pub(super) const CALL: Duration = Duration::from_secs(100);

/// The largest number of pages of a list that are read.
const MAX_PAGES: usize = 10;

/// The number of attempts at a call that Azure fails to execute.
pub(super) const ATTEMPTS: u32 = 3;

/// The pause before another attempt at a call that Azure failed to execute.
pub(super) const PAUSE: Duration = Duration::from_secs(2);

/// The signal that the user wants to end the calibration.
#[derive(Debug)]
pub(super) struct Interrupted;

/// A response. Without a status, there was none.
pub(super) struct Response {
    pub(super) sent: Instant,
    pub(super) status: Option<u16>,
    pub(super) body: Value,
}

/// The result of setting a secret.
pub(super) enum Set {
    /// The id of the new version, if the response names it.
    Done(Option<String>),
    /// Nothing was changed.
    Refused,
    /// The version may exist.
    Unknown,
}

/// The rows of a list.
pub(super) enum Rows {
    Read(Vec<Row>),
    /// Another attempt would not help.
    Refused,
    Failed,
}

/// The calls of a calibration, with their target.
pub(super) struct Session {
    pub(super) client: RawClient,
    pub(super) cloud: Cloud,
    pub(super) site: AppId,
    pub(super) slot: Option<AppId>,
    pub(super) secret: Option<SecretId>,
    pub(super) journal: Journal,
    /// Whether the newest version of the secret may be disabled.
    pub(super) may_be_disabled: bool,
    pub(super) interrupted: watch::Receiver<bool>,
}

impl Response {
    pub(super) fn is_success(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the call was refused and changed nothing.
    pub(super) fn is_refused(&self) -> bool {
        self.status
            .is_some_and(|status| (300..500).contains(&status) && !matches!(status, 408 | 429))
    }
}

impl Session {
    /// Makes a call of Resource Manager.
    pub(super) async fn call(
        &mut self,
        operation: Operation,
        app: App,
    ) -> Result<Response, Interrupted> {
        let id = match app {
            App::Site => self.site.to_string(),
            App::Slot => self.slot.as_ref().unwrap_or(&self.site).to_string(),
        };
        let path = format!("{id}{}", operation.path());
        let api_version = match operation {
            Operation::Refresh => self.cloud.refresh_api_version.clone(),
            _ => self.cloud.web_api_version.clone(),
        };
        let (path, version) = (path.as_str(), api_version.as_str());
        let request = match operation.method() {
            "POST" => RawRequest::Post {
                path,
                api_version: version,
            },
            _ => RawRequest::Get {
                path,
                api_version: version,
            },
        };
        self.send(operation, app, version, request).await
    }

    async fn send(
        &mut self,
        operation: Operation,
        app: App,
        api_version: &str,
        request: RawRequest<'_>,
    ) -> Result<Response, Interrupted> {
        let mut interrupted = self.interrupted.clone();
        if *interrupted.borrow() {
            return Err(Interrupted);
        }
        let index = self.journal.begin(operation, app, api_version);
        let sent = Instant::now();
        let result = tokio::select! {
            result = self.client.send(request, Deadline::after(CALL)) => result,
            Ok(_) = interrupted.wait_for(|it| *it) => return Err(Interrupted),
        };
        if let Err(failure) = &result {
            let label = operation.label(app);
            out::warning(&format!("{label}: {}", out::chain(failure)));
        }
        Ok(Response {
            sent,
            status: result.as_ref().ok().map(|response| response.status),
            body: self.journal.end(index, &result),
        })
    }

    /// Sets the secret to a random value. This call is not interrupted, because it could be
    /// executed after the one that leaves the secret enabled.
    pub(super) async fn set_secret(&mut self, enabled: bool) -> Set {
        let Some((vault, secret)) = &self.secret else {
            return Set::Refused;
        };
        let operation = Operation::SetSecret { enabled };
        let api_version = self.cloud.vault_api_version.clone();
        let index = self.journal.begin(operation, App::Site, &api_version);
        let value = format!("{}{}", uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        let request = RawRequest::SetSecret {
            vault,
            secret,
            value: &value,
            enabled,
        };
        self.may_be_disabled |= !enabled;
        let result = self.client.send(request, Deadline::after(CALL)).await;
        if let Err(failure) = &result {
            let label = operation.label(App::Site);
            out::warning(&format!("{label}: {}", out::chain(failure)));
        }
        let was_sent = !matches!(
            &result,
            Err(keyrelay_azure::Failure::Token(_) | keyrelay_azure::Failure::NotSent(_))
        );
        let response = Response {
            sent: Instant::now(),
            status: result.as_ref().ok().map(|response| response.status),
            body: self.journal.end(index, &result),
        };
        if response.is_success() {
            self.may_be_disabled = !enabled;
            let id = response.body.get("id").and_then(Value::as_str);
            let version = id.and_then(|id| id.rsplit('/').next());
            return Set::Done(version.map(str::to_owned));
        }
        if response.is_refused() || !was_sent {
            // The version before is the newest one still.
            self.may_be_disabled &= enabled;
            return Set::Refused;
        }
        Set::Unknown
    }

    /// Sets an enabled version, with several attempts. Returns the id of the version, or `None` if
    /// no attempt succeeded.
    pub(super) async fn enable(&mut self) -> Option<Option<String>> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                sleep(PAUSE).await;
            }
            match self.set_secret(true).await {
                Set::Done(version) => return Some(version),
                Set::Refused if !self.may_be_disabled => return None,
                Set::Refused | Set::Unknown => {}
            }
        }
        None
    }

    /// Makes a call that only reads, and repeats it if Azure fails to execute it.
    pub(super) async fn read(
        &mut self,
        operation: Operation,
        app: App,
    ) -> Result<Response, Interrupted> {
        for _ in 1..ATTEMPTS {
            let response = self.call(operation, app).await?;
            if response.is_success() || response.is_refused() {
                return Ok(response);
            }
            self.pause(PAUSE).await?;
        }
        self.call(operation, app).await
    }

    /// Reads a list of statuses with all its pages.
    pub(super) async fn rows(
        &mut self,
        operation: Operation,
        app: App,
    ) -> Result<Rows, Interrupted> {
        let mut response = self.call(operation, app).await?;
        let mut rows = Vec::new();
        for _ in 1..=MAX_PAGES {
            if !response.is_success() {
                return Ok(if response.is_refused() {
                    Rows::Refused
                } else {
                    Rows::Failed
                });
            }
            rows.extend(self.rows_of(&response.body));
            let link = response.body.get("nextLink").and_then(Value::as_str);
            let Some(link) = link.filter(|link| !link.is_empty()).map(str::to_owned) else {
                break;
            };
            let version = self.cloud.web_api_version.clone();
            let next = RawRequest::Next { link: &link };
            response = self.send(operation, app, &version, next).await?;
        }
        Ok(Rows::Read(rows))
    }

    /// The rows in the body of a response.
    pub(super) fn rows_of(&self, body: &Value) -> Vec<Row> {
        let rows = body.get("value").and_then(Value::as_array);
        let read = |row| Row::read(row, &self.cloud.vault_suffix);
        rows.into_iter().flatten().filter_map(read).collect()
    }

    pub(super) async fn pause(&mut self, pause: Duration) -> Result<(), Interrupted> {
        let mut interrupted = self.interrupted.clone();
        tokio::select! {
            () = sleep(pause) => Ok(()),
            Ok(_) = interrupted.wait_for(|it| *it) => Err(Interrupted),
        }
    }
}
