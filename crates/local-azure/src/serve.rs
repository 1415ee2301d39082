//! Listeners on 127.0.0.1 for http and https alike, that can also end a connection without an answer.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::answer::Response;
use crate::tls::Tls;

/// The header by which a request says that it came by https. Links in answers lead where the request came from.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Ends the connection: hyper sends nothing when its service fails.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut by a fault")]
pub(crate) struct Cut;

/// Opens a listener on a port of 127.0.0.1; 0 is any free one. Also returns the port.
pub(crate) async fn listen(port: u16) -> io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// Answers requests until it is dropped. All its connections end with it.
pub(crate) async fn serve<F, A>(listener: TcpListener, tls: Tls, answer: F)
where
    F: Fn(Request<Body>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Response, Cut>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: the next attempt must not come at once.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let (tls, answer) = (tls.clone(), answer.clone());
        connections.spawn(async move {
            if let Err(error) = converse(stream, &tls, answer).await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}

/// Answers the requests of one connection, in the protocol that it begins with.
async fn converse<F, A>(
    stream: TcpStream,
    tls: &Tls,
    answer: F,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    F: Fn(Request<Body>) -> A + Send + 'static,
    A: Future<Output = Result<Response, Cut>> + Send + 'static,
{
    if !Tls::is_wanted_by(&stream).await? {
        return speak_http(stream, answer).await;
    }
    let stream = tls.accept(stream).await?;
    let by_https = move |mut request: Request<Body>| {
        request
            .headers_mut()
            .insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
        answer(request)
    };
    speak_http(stream, by_https).await
}

async fn speak_http<S, F, A>(
    stream: S,
    answer: F,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Body>) -> A + Send + 'static,
    A: Future<Output = Result<Response, Cut>> + Send + 'static,
{
    let service =
        service_fn(move |request: Request<hyper::body::Incoming>| answer(request.map(Body::new)));
    Ok(http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await?)
}
