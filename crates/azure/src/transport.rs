//! The execution of a request: throttle, token, attempts, record.

use std::sync::Arc;
use std::time::Duration;

use keyrelay_model::{AppId, Settings};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use url::Url;

use crate::call::{Call, Deadline};
use crate::credential::Credential;
use crate::error::AzureError;
use crate::error_response::ErrorResponse;
use crate::failure::Failure;
use crate::failure_table::FailureKind;
use crate::http::{Http, HttpResponse};
use crate::observer::{RequestObserver, SPANS};
use crate::request_log::{Operation, RequestIds, RequestRecord};
use crate::retry::{self, LEAST_FOR_WRITE};
use crate::spread::Credentials;
use crate::throttle::{RequestKind, Writer};

/// Sends requests to one service of Azure, with tokens for that service.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    http: Http,
    credentials: Credentials,
    audience: String,
    /// Whether the service has the rate limits of Resource Manager.
    has_buckets: bool,
}

/// A request without its token. It is not `Debug`, because its body may hold all settings of an
/// app.
#[derive(Clone)]
pub(crate) struct Request<'a> {
    pub(crate) operation: Operation,
    /// The app, scope, secret or workspace, for errors and records.
    pub(crate) subject: String,
    /// The number of the identity that sends it.
    pub(crate) identity: usize,
    /// The subscription, vault or workspace whose rate limit it counts towards.
    pub(crate) throttle: String,
    pub(crate) url: Url,
    pub(crate) action: Action<'a>,
    /// Whether the throttle has already admitted its first attempt.
    pub(crate) is_admitted: bool,
}

/// The method and the body of a request.
#[derive(Clone, Copy)]
pub(crate) enum Action<'a> {
    Get,
    /// A `POST` with an empty body.
    Post,
    /// A `POST` of a query that changes nothing and contains no value of a setting or secret.
    Query(&'a Value),
    /// A `PUT` of `{"properties": {name: value}}`.
    Put(&'a Settings),
}

impl Transport {
    /// Creates the transport for Resource Manager, with its token buckets.
    pub(crate) fn with_buckets(http: Http, credentials: Credentials, audience: String) -> Self {
        Self {
            http,
            credentials,
            audience,
            has_buckets: true,
        }
    }

    /// Creates the transport for a service without a documented rate limit.
    pub(crate) fn new(http: Http, credential: Arc<Credential>, audience: String) -> Self {
        Self {
            http,
            credentials: Credentials::new(credential, Vec::new()),
            audience,
            has_buckets: false,
        }
    }

    /// Sends a request until it succeeds, fails permanently or reaches the deadline. Returns the
    /// body of the response.
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
            .send_with_retries(request, call, &mut attempts, &mut throttled)
            .await;
        let (status, ids) = match &outcome {
            Ok(response) => (Some(response.status.as_u16()), response.ids.clone()),
            Err(failure) => (
                failure.status(),
                failure
                    .response()
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
            .map(|response| response.body)
            .map_err(|failure| request.failed(failure))
    }

    /// The number of the identity that an app belongs to.
    pub(crate) fn identity_of(&self, app: &AppId) -> usize {
        self.credentials.of_app(app)
    }

    /// Waits for a permit to write the settings of an app. See
    /// [`Throttle::writer`](crate::throttle::Throttle::writer).
    pub(crate) async fn writer(&self, app: &AppId, requests: u32, call: &Call) -> Option<Writer> {
        self.http
            .throttle(
                self.credentials.of_app(app),
                app.subscription(),
                self.has_buckets,
            )
            .writer(requests, call.deadline, call.priority)
            .await
    }

    async fn send_with_retries(
        &self,
        request: &Request<'_>,
        call: &Call,
        attempts: &mut u32,
        throttled: &mut u32,
    ) -> Result<HttpResponse, Failure> {
        let deadline = call.deadline;
        let throttle = self
            .http
            .throttle(request.identity, &request.throttle, self.has_buckets);
        let kind = request.kind();
        let mut token_was_rejected = false;
        let mut previous = None;
        loop {
            let permit = match request.is_admitted && *attempts == 0 {
                true => None,
                false => match throttle.acquire(kind, deadline, call.priority).await {
                    Some(permit) => Some(permit),
                    None => return Err(previous.unwrap_or(Failure::DeadlineExceeded)),
                },
            };
            // Without the response it would be unknown whether Azure has carried it out.
            if !request.operation.is_idempotent() && deadline.remaining() < LEAST_FOR_WRITE {
                return Err(previous.unwrap_or(Failure::DeadlineExceeded));
            }
            *attempts += 1;
            let attempted = self.attempt(request, deadline).await;
            let failure = match attempted {
                Ok(response) => {
                    drop(permit);
                    throttle.accepted(kind, response.remaining);
                    return Ok(response);
                }
                // The failure of the previous attempt explains more than the end of this one at the
                // deadline; but Azure may have carried this one out.
                Err(failure) if deadline.has_passed() => {
                    let explains = previous.filter(|_| request.operation.is_idempotent());
                    return Err(explains.unwrap_or(failure));
                }
                Err(failure) => failure,
            };
            let status = failure.status();
            let retry_after = failure.response().and_then(|response| response.retry_after);
            if status == Some(429) {
                *throttled += 1;
                // All requests that share the rate limit have to wait.
                throttle.rejected(kind, retry_after);
            }
            // Not before the pause begins: the next one in the queue would be sent.
            drop(permit);
            if status == Some(401) && !token_was_rejected {
                token_was_rejected = true;
                continue;
            }
            // A throttled request was not carried out. The caller plans a write again.
            let is_repeatable = request.operation.is_idempotent()
                || (request.operation == Operation::RefreshReferences && status == Some(429));
            if !is_repeatable
                || !FailureKind::of(&failure).is_momentary()
                || *attempts >= request.operation.max_attempts()
            {
                return Err(failure);
            }
            // After a 429, the throttle itself pauses.
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

    async fn attempt(
        &self,
        request: &Request<'_>,
        deadline: Deadline,
    ) -> Result<HttpResponse, Failure> {
        let credential = self.credentials.get(request.identity);
        let token = credential.token(&self.audience, deadline).await?;
        let limit = if request.operation.is_idempotent() {
            deadline.min(Deadline::after(
                request.operation.attempt_limit(self.http.limits().attempt),
            ))
        } else {
            deadline
        };
        let mut builder = request.builder(&self.http).bearer_auth(token.expose());
        if let Some(traceparent) = self.http.observer().and_then(RequestObserver::traceparent) {
            builder = builder.header("traceparent", traceparent);
        }
        let response = self.http.exchange(builder, limit).await?;
        if response.status.is_success() {
            return Ok(response);
        }
        if response.status == 401 {
            credential.rejected(&self.audience, &token);
        }
        let HttpResponse {
            status,
            ids,
            retry_after,
            body,
            ..
        } = response;
        let error = ErrorResponse {
            status: status.as_u16(),
            code: None,
            inner_code: None,
            message: None,
            ids,
            retry_after,
        };
        Err(Failure::Response(Box::new(
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

    /// The kind as which Resource Manager counts the request.
    fn kind(&self) -> RequestKind {
        match self.action {
            Action::Get => RequestKind::Read,
            Action::Post | Action::Query(_) | Action::Put(_) => RequestKind::Write,
        }
    }

    fn builder(&self, http: &Http) -> RequestBuilder {
        let builder = |method| {
            http.client()
                .request(method, self.url.clone())
                .header(ACCEPT, "application/json")
        };
        let with_body = |method, body: String| {
            builder(method)
                .header(CONTENT_TYPE, "application/json")
                .body(body)
        };
        match self.action {
            Action::Get => builder(Method::GET),
            // Resource Manager responds with 411 to a POST without a length.
            Action::Post => builder(Method::POST).header(CONTENT_LENGTH, "0"),
            Action::Query(query) => with_body(Method::POST, query.to_string()),
            Action::Put(settings) => {
                let value = |text: &str| Value::String(text.to_owned());
                let properties: Map<String, Value> = settings
                    .iter()
                    .map(|(name, text)| (name.to_string(), value(text.expose())))
                    .collect();
                with_body(Method::PUT, json!({ "properties": properties }).to_string())
            }
        }
    }

    /// The values in the body, which an error message must not repeat.
    fn sent(&self) -> Option<&Settings> {
        match self.action {
            Action::Get | Action::Post | Action::Query(_) => None,
            Action::Put(settings) => Some(settings),
        }
    }
}
