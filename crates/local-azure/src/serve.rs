//! Listeners on 127.0.0.1 for http and https, which can also cut a connection without a response.

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

use crate::response::Response;
use crate::tls::Tls;

/// The header that marks a request as https. Links in responses use its scheme.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Cuts the connection: hyper sends no response when its service fails.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut by a fault")]
pub(crate) struct Cut;

/// Opens a listener on a port of 127.0.0.1, where 0 means a free port. Returns it with the port.
pub(crate) async fn listen(port: u16) -> io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// Serves requests until the future is dropped, together with all its connections.
pub(crate) async fn serve<F, A>(listener: TcpListener, tls: Tls, respond: F)
where
    F: Fn(Request<Body>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<Response, Cut>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // The usual cause is a lack of file descriptors, so the next attempt is delayed.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let (tls, respond) = (tls.clone(), respond.clone());
        connections.spawn(async move {
            if let Err(error) = serve_connection(stream, &tls, respond).await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
}

/// Serves the requests of one connection, in the protocol of its first byte.
async fn serve_connection<F, A>(
    stream: TcpStream,
    tls: &Tls,
    respond: F,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    F: Fn(Request<Body>) -> A + Send + 'static,
    A: Future<Output = Result<Response, Cut>> + Send + 'static,
{
    if !Tls::is_handshake(&stream).await? {
        return serve_http(stream, respond).await;
    }
    let stream = tls.accept(stream).await?;
    let by_https = move |mut request: Request<Body>| {
        request
            .headers_mut()
            .insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
        respond(request)
    };
    serve_http(stream, by_https).await
}

async fn serve_http<S, F, A>(
    stream: S,
    respond: F,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Body>) -> A + Send + 'static,
    A: Future<Output = Result<Response, Cut>> + Send + 'static,
{
    let service =
        service_fn(move |request: Request<hyper::body::Incoming>| respond(request.map(Body::new)));
    Ok(http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await?)
}
