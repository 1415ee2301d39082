//! A server that plays recorded answers and notes what it was asked.

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
    AzureError, Call, Cloud, Credential, Deadline, Http, KeyVault, Limits, ResourceManager,
};
use keyrelay_model::AppId;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

/// One request, as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `GET /path?query`
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// What the server does with a request. `{origin}` in a body stands for the server's own origin.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, &'static str)>,
        body: String,
    },
    /// The head with this status, a part of the body, and then nothing: the connection is cut.
    HalfSent(u16),
    /// The connection is kept and nothing comes.
    Never,
}

pub(crate) struct Fake {
    pub(crate) origin: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// An answer with JSON.
pub(crate) fn answer(status: u16, body: Value) -> Reply {
    Reply::Answer {
        status,
        headers: vec![("content-type", "application/json")],
        body: body.to_string(),
    }
}

/// An answer without a body that asks to be asked again at once.
pub(crate) fn again(status: u16) -> Reply {
    Reply::Answer {
        status,
        headers: vec![("retry-after", "0")],
        body: String::new(),
    }
}

impl Reply {
    pub(crate) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value));
        }
        self
    }
}

impl Fake {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::cutting(0, replies).await
    }

    /// A server that drops its first connections without an answer.
    pub(crate) async fn cutting(cuts: usize, replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let replies: Arc<Mutex<VecDeque<Reply>>> =
            Arc::new(Mutex::new(replies.into_iter().collect()));
        let router = Router::new().fallback({
            let (origin, seen) = (origin.clone(), seen.clone());
            move |request: Request| play(request, origin.clone(), seen.clone(), replies.clone())
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

    /// Waits until so many requests have arrived.
    pub(crate) async fn has_seen(&self, requests: usize) {
        let wait = async {
            while self.seen().len() < requests {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .unwrap();
    }

    pub(crate) fn cloud(&self) -> Cloud {
        Cloud {
            resource_manager: self.origin.parse().unwrap(),
            vault_endpoint: format!("{}/vaults/{{vault}}", self.origin),
            ..Cloud::public()
        }
    }

    pub(crate) fn resource_manager(&self) -> ResourceManager {
        self.resource_manager_with(Limits::default())
    }

    pub(crate) fn resource_manager_with(&self, limits: Limits) -> ResourceManager {
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
}

async fn play(
    request: Request,
    origin: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let reply = replies.lock().unwrap().pop_front();
    seen.lock().unwrap().push(Seen {
        line: format!("{} {}", head.method, head.uri),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    match reply {
        Some(Reply::Answer {
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
            // What is written is sent while nothing more is there; an error at once would overtake it.
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

/// Hands out `token-1`, `token-2`, ...
#[derive(Debug, Default)]
struct Numbered(AtomicUsize);

#[async_trait::async_trait]
impl TokenCredential for Numbered {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        let expires_on = OffsetDateTime::now_utc() + azure_core::time::Duration::hours(1);
        Ok(AccessToken::new(format!("token-{number}"), expires_on))
    }
}

pub(crate) fn credential() -> Arc<Credential> {
    Arc::new(Credential::from_source(Arc::new(Numbered::default())))
}

pub(crate) const ORDERS: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders";

pub(crate) fn orders() -> AppId {
    ORDERS.parse().unwrap()
}

/// A call with more time than any test takes.
pub(crate) fn call() -> Call {
    within(Duration::from_secs(25))
}

pub(crate) fn within(duration: Duration) -> Call {
    Call::until(Deadline::after(duration))
}

/// What an error says, with all its sources.
pub(crate) fn told(error: &AzureError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
