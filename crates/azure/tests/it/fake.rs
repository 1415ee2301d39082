//! A fake server that sends scripted responses and records the requests.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response};
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use futures::StreamExt;
use keyrelay_azure::{
    Call, Cloud, Credential, Deadline, Http, KeyVault, LogAnalytics, RequestLimits, ResourceManager,
};
use keyrelay_model::AppId;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `GET /path?query`
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// The reaction of the server to a request. `{origin}` in a body stands for the server's own
/// origin.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Response {
        status: u16,
        headers: Vec<(&'static str, &'static str)>,
        body: String,
    },
    /// Sends the head with this status and a part of the body, then drops the connection.
    HalfSent(u16),
    /// Keeps the connection open and sends nothing.
    Never,
}

/// The reactions of the server.
enum Script {
    /// One after the other, in the order of the requests.
    InOrder(VecDeque<Reply>),
    /// By a part of the request's line, for requests that are sent at the same time.
    ByLine(Vec<(&'static str, Reply)>),
}

impl Script {
    fn next(&mut self, line: &str) -> Option<Reply> {
        match self {
            Self::InOrder(replies) => replies.pop_front(),
            Self::ByLine(replies) => {
                let found = replies.iter().find(|(part, _)| line.contains(part));
                found.map(|(_, reply)| reply.clone())
            }
        }
    }
}

pub(crate) struct Fake {
    pub(crate) origin: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A response with a JSON body.
pub(crate) fn respond(status: u16, body: Value) -> Reply {
    Reply::Response {
        status,
        headers: vec![("content-type", "application/json")],
        body: body.to_string(),
    }
}

/// A response without a body, with a `Retry-After` of zero.
pub(crate) fn again(status: u16) -> Reply {
    Reply::Response {
        status,
        headers: vec![("retry-after", "0")],
        body: String::new(),
    }
}

impl Reply {
    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        if let Self::Response { headers, .. } = &mut self {
            headers.push((name, value));
        }
        self
    }
}

impl Fake {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::cutting(0, replies).await
    }

    /// Starts a server whose responses depend on the request: each pair has a part of its line.
    pub(crate) async fn routing(replies: impl IntoIterator<Item = (&'static str, Reply)>) -> Self {
        Self::playing(0, Script::ByLine(replies.into_iter().collect())).await
    }

    /// Starts a server that drops its first connections without a response.
    pub(crate) async fn cutting(cuts: usize, replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::playing(cuts, Script::InOrder(replies.into_iter().collect())).await
    }

    async fn playing(cuts: usize, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(script));
        let router = Router::new().fallback({
            let (origin, seen) = (origin.clone(), seen.clone());
            move |request: Request| play(request, origin.clone(), seen.clone(), script.clone())
        });
        let listener = Cutting {
            listener,
            left: AtomicUsize::new(cuts),
        };
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { origin, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    /// Waits until this number of requests has arrived.
    pub(crate) async fn has_seen(&self, requests: usize) {
        let wait = async {
            while self.seen().len() < requests {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait)
            .await
            .unwrap();
    }

    pub(crate) fn cloud(&self) -> Cloud {
        Cloud {
            resource_manager: self.origin.parse().unwrap(),
            vault_endpoint: format!("{}/vaults/{{vault}}", self.origin),
            log_analytics: self.origin.parse().unwrap(),
            ..Cloud::public()
        }
    }

    pub(crate) fn resource_manager(&self) -> ResourceManager {
        self.resource_manager_with(RequestLimits::default())
    }

    pub(crate) fn resource_manager_with(&self, limits: RequestLimits) -> ResourceManager {
        ResourceManager::new(
            &self.cloud(),
            credential(),
            Http::with_limits(limits).unwrap(),
        )
        .unwrap()
    }

    pub(crate) fn key_vault(&self) -> KeyVault {
        KeyVault::new(&self.cloud(), credential(), Http::new().unwrap()).unwrap()
    }

    pub(crate) fn log_analytics(&self) -> LogAnalytics {
        LogAnalytics::new(&self.cloud(), credential(), Http::new().unwrap()).unwrap()
    }
}

async fn play(
    request: Request,
    origin: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    script: Arc<Mutex<Script>>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let line = format!("{} {}", head.method, head.uri);
    let reply = script.lock().unwrap().next(&line);
    seen.lock().unwrap().push(Seen {
        line,
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    match reply {
        Some(Reply::Response {
            status,
            headers,
            body,
        }) => {
            let body = body.replace("{origin}", &origin);
            let builder = Response::builder().status(status);
            let builder = headers.into_iter().fold(builder, |builder, (name, value)| {
                builder.header(name, value)
            });
            builder.body(body.into()).unwrap()
        }
        Some(Reply::HalfSent(status)) => {
            let part = futures::stream::iter([Ok(r#"{"properties": {"#)]);
            // The part is flushed while the body is pending. An immediate error would discard it.
            let cut = futures::stream::once(async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(std::io::Error::other("cut"))
            });
            Response::builder()
                .status(status)
                .body(Body::from_stream(part.chain(cut)))
                .unwrap()
        }
        Some(Reply::Never) => std::future::pending().await,
        None => Response::builder()
            .status(418)
            .body("nothing more to play".into())
            .unwrap(),
    }
}

struct Cutting {
    listener: TcpListener,
    left: AtomicUsize,
}

impl axum::serve::Listener for Cutting {
    type Io = TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (TcpStream, Self::Addr) {
        loop {
            let accepted = axum::serve::Listener::accept(&mut self.listener).await;
            if self
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                .is_err()
            {
                return accepted;
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Returns `token-1`, `token-2`, ..., or with another word than `token`.
#[derive(Debug)]
struct Numbered(&'static str, AtomicUsize);

#[async_trait::async_trait]
impl TokenCredential for Numbered {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let Self(word, count) = self;
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let expires_on = OffsetDateTime::now_utc() + azure_core::time::Duration::hours(1);
        Ok(AccessToken::new(format!("{word}-{number}"), expires_on))
    }
}

pub(crate) fn credential() -> Arc<Credential> {
    credential_of("token")
}

/// The credential of an identity whose tokens begin with this word.
pub(crate) fn credential_of(word: &'static str) -> Arc<Credential> {
    let source = Numbered(word, AtomicUsize::default());
    Arc::new(Credential::from_source(Arc::new(source)))
}

pub(crate) const ORDERS: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders";

pub(crate) fn orders() -> AppId {
    ORDERS.parse().unwrap()
}

/// A call with a deadline that no test reaches.
pub(crate) fn call() -> Call {
    within(Duration::from_secs(25))
}

pub(crate) fn within(duration: Duration) -> Call {
    Call::until(Deadline::after(duration))
}
