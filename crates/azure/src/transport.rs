//! One request with everything around it: token, permit, attempts, record.

use std::sync::Arc;
use std::time::Duration;

use keyrelay_model::Settings;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use url::Url;

use crate::call::{Call, Deadline};
use crate::credential::Credential;
use crate::error::{AzureError, ErrorAnswer, Failure};
use crate::http::{Answer, Http};
use crate::lane::Kind;
use crate::observe::{Observe, SPANS};
use crate::request_log::{Operation, RequestIds, RequestRecord};
use crate::retry::{self, MAX_ATTEMPTS};

/// Sends requests to one service of Azure, with tokens for that service.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    http: Http,
    credential: Arc<Credential>,
    audience: String,
    /// Whether the service has the rate limits of Resource Manager.
    is_paced: bool,
}

/// A request before it has a token. Not printable: its body may be all settings of an app.
#[derive(Clone)]
pub(crate) struct Request<'a> {
    pub(crate) operation: Operation,
    /// To what it is done, for errors and records.
    pub(crate) subject: String,
    /// Whose rate limit it counts for: a subscription or a vault.
    pub(crate) lane: String,
    pub(crate) url: Url,
    pub(crate) action: Action<'a>,
    /// Whether its place in the lane was waited for before.
    pub(crate) is_admitted: bool,
}

/// Method and body.
#[derive(Clone, Copy)]
pub(crate) enum Action<'a> {
    Get,
    /// With an empty body.
    Post,
    /// With `{"properties": {name: value}}`.
    Put(&'a Settings),
}

impl Transport {
    /// For Resource Manager, whose pace is kept.
    pub(crate) fn paced(http: Http, credential: Arc<Credential>, audience: String) -> Self {
        Self {
            http,
            credential,
            audience,
            is_paced: true,
        }
    }

    /// For a service without a pace of its own.
    pub(crate) fn new(http: Http, credential: Arc<Credential>, audience: String) -> Self {
        Self {
            http,
            credential,
            audience,
            is_paced: false,
        }
    }

    /// Sends a request until it succeeds, is hopeless, or the time is over, and returns the body of the answer.
    pub(crate) async fn send(
        &self,
        request: &Request<'_>,
        call: &Call,
    ) -> Result<Vec<u8>, AzureError> {
        let span = tracing::info_span!(
            target: SPANS,
            "request",
            otel.name = request.operation.as_str(),
            otel.kind = "client",
            azure.subject = request.subject,
            http.response.status_code = Empty,
            azure.request_id = Empty,
            azure.attempts = Empty,
            azure.throttled = Empty,
        );
        self.send_within(request, call).instrument(span).await
    }

    async fn send_within(&self, request: &Request<'_>, call: &Call) -> Result<Vec<u8>, AzureError> {
        let started = Instant::now();
        let (mut attempts, mut throttled) = (0, 0);
        let outcome = self
            .repeat(request, call.deadline, &mut attempts, &mut throttled)
            .await;
        let (status, ids) = match &outcome {
            Ok(answer) => (Some(answer.status.as_u16()), answer.ids.clone()),
            Err(failure) => (
                failure.status(),
                failure
                    .answer()
                    .map(|it| it.ids.clone())
                    .unwrap_or_default(),
            ),
        };
        self.note(
            request,
            call,
            RequestRecord {
                operation: request.operation,
                subject: request.subject.clone(),
                status,
                ids,
                started,
                elapsed: started.elapsed(),
                attempts,
                throttled,
            },
        );
        outcome
            .map(|answer| answer.body)
            .map_err(|failure| request.failed(failure))
    }

    /// Waits for a place among those who write in a lane. See [`Lane::writer`](crate::lane::Lane::writer).
    pub(crate) async fn writer(
        &self,
        lane: &str,
        requests: u32,
        call: &Call,
    ) -> Option<OwnedSemaphorePermit> {
        self.http
            .lane(lane, self.is_paced)
            .writer(requests, call.deadline)
            .await
    }

    async fn repeat(
        &self,
        request: &Request<'_>,
        deadline: Deadline,
        attempts: &mut u32,
        throttled: &mut u32,
    ) -> Result<Answer, Failure> {
        let lane = self.http.lane(&request.lane, self.is_paced);
        let kind = request.kind();
        let mut token_was_refused = false;
        let mut previous = None;
        loop {
            let permit = match request.is_admitted && *attempts == 0 {
                true => None,
                false => match lane.enter(kind, deadline).await {
                    Some(permit) => Some(permit),
                    None => return Err(previous.unwrap_or(Failure::OutOfTime)),
                },
            };
            *attempts += 1;
            let attempted = self.attempt(request, deadline).await;
            drop(permit);
            let failure = match attempted {
                Ok(answer) => {
                    lane.answered(kind, answer.remaining);
                    return Ok(answer);
                }
                // What went wrong before says more than that the time was over in the middle of another attempt.
                Err(failure) if deadline.has_passed() => return Err(previous.unwrap_or(failure)),
                Err(failure) => failure,
            };
            let status = failure.status();
            let retry_after = failure.answer().and_then(|answer| answer.retry_after);
            if status == Some(429) {
                *throttled += 1;
                // Not this request alone: whoever shares the limit waits.
                lane.refused(kind, retry_after);
            }
            if status == Some(401) && !token_was_refused {
                token_was_refused = true;
                continue;
            }
            if !request.operation.may_be_repeated()
                || !failure.is_momentary()
                || *attempts >= MAX_ATTEMPTS
            {
                return Err(failure);
            }
            // The lane has stopped already where Azure has refused.
            let pause = match status {
                Some(429) => Duration::ZERO,
                _ => retry::pause(*attempts, retry_after, rand::random()),
            };
            if pause >= deadline.remaining() {
                return Err(failure);
            }
            previous = Some(failure);
            sleep(pause).await;
        }
    }

    async fn attempt(&self, request: &Request<'_>, deadline: Deadline) -> Result<Answer, Failure> {
        let token = self.credential.token(&self.audience, deadline).await?;
        let limit = if request.operation.may_be_repeated() {
            deadline.min(Deadline::after(self.http.limits().attempt))
        } else {
            deadline
        };
        let mut builder = request.builder(&self.http).bearer_auth(token.expose());
        if let Some(traceparent) = self.http.observer().and_then(Observe::traceparent) {
            builder = builder.header("traceparent", traceparent);
        }
        let answer = self.http.exchange(builder, limit).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        if answer.status == 401 {
            self.credential.refused(&self.audience, &token);
        }
        let Answer {
            status,
            ids,
            retry_after,
            body,
            ..
        } = answer;
        let error = ErrorAnswer {
            status: status.as_u16(),
            code: None,
            inner_code: None,
            message: None,
            ids,
            retry_after,
        };
        Err(Failure::Answer(Box::new(
            error.with_body(&body, request.sent()),
        )))
    }

    fn note(&self, request: &Request<'_>, call: &Call, record: RequestRecord) {
        let RequestIds {
            request: request_id,
            correlation,
        } = &record.ids;
        tracing::debug!(
            azure.operation = %request.operation,
            azure.subject = record.subject,
            azure.status = record.status,
            azure.request_id = request_id.as_deref(),
            azure.correlation_id = correlation.as_deref(),
            azure.attempts = record.attempts,
            duration_ms = u64::try_from(record.elapsed.as_millis()).unwrap_or(u64::MAX),
            "request to Azure finished"
        );
        let span = Span::current();
        record
            .status
            .map(|status| span.record("http.response.status_code", status));
        request_id
            .as_deref()
            .map(|id| span.record("azure.request_id", id));
        span.record("azure.attempts", record.attempts)
            .record("azure.throttled", record.throttled);
        if let Some(observer) = self.http.observer() {
            observer.finished(&record);
        }
        call.log.push(record);
    }
}

impl Request<'_> {
    pub(crate) fn failed(&self, failure: Failure) -> AzureError {
        AzureError {
            operation: self.operation,
            subject: self.subject.clone(),
            failure,
        }
    }

    /// How Resource Manager counts it.
    fn kind(&self) -> Kind {
        match self.action {
            Action::Get => Kind::Read,
            Action::Post | Action::Put(_) => Kind::Write,
        }
    }

    fn builder(&self, http: &Http) -> RequestBuilder {
        let builder = |method| {
            http.client()
                .request(method, self.url.clone())
                .header(ACCEPT, "application/json")
        };
        match self.action {
            Action::Get => builder(Method::GET),
            // Resource Manager answers 411 to a POST that does not say how long it is.
            Action::Post => builder(Method::POST).header(CONTENT_LENGTH, "0"),
            Action::Put(settings) => {
                let value = |text: &str| Value::String(text.to_owned());
                let properties: Map<String, Value> = settings
                    .iter()
                    .map(|(name, text)| (name.to_string(), value(text.expose())))
                    .collect();
                let body = json!({ "properties": properties }).to_string();
                builder(Method::PUT)
                    .header(CONTENT_TYPE, "application/json")
                    .body(body)
            }
        }
    }

    /// The values in the body: what an error message must not repeat.
    fn sent(&self) -> Option<&Settings> {
        match self.action {
            Action::Get | Action::Post => None,
            Action::Put(settings) => Some(settings),
        }
    }
}
