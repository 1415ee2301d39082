//! Accepts connections, limits their number and their heads, and closes them at shutdown.
//!
//! `axum::serve` limits neither the time and the size of a head nor the connections. So hyper is
//! used directly. An ingress speaks HTTP/1.1 to a container by default.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::limits::DeliveryLimits;
use super::places::{Place, Places};
use super::progress::Progress;

/// Largest head of a request, in bytes: a token has one or two thousand.
const MAX_HEAD: usize = 32 * 1024;

/// Connections in addition to the concurrent deliveries: for probes, idle connections, and
/// deliveries that are refused. Each takes some 50 KB while its head arrives.
const EXTRA_CONNECTIONS: usize = 400;

/// Connections of one peer in addition to the concurrent deliveries: an ingress is one peer.
const EXTRA_CONNECTIONS_OF_PEER: usize = 64;

/// Connections for probes on a port of their own, and those of one peer.
const PROBE_CONNECTIONS: [usize; 2] = [64, 32];

/// Longest time for deliveries in progress at shutdown. Kubernetes and Container Apps kill the
/// process after 30 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);

/// Serves requests until the shutdown, and until the deliveries in progress are finished.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &DeliveryLimits,
    shutdown: &CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let deliveries = limits.concurrency();
    let places = Places::new(
        deliveries + EXTRA_CONNECTIONS,
        deliveries + EXTRA_CONNECTIONS_OF_PEER,
    );
    let accepting = accept(&listener, &router, &places, &graceful);
    // It ends with the shutdown only.
    let _ = shutdown.run_until_cancelled(accepting).await;
    drop(listener);
    let finished = async {
        graceful.shutdown().await;
        // Deliveries whose sender did not wait for the response.
        limits.idle().await;
    };
    if timeout(DRAIN_TIMEOUT, finished).await.is_err() {
        tracing::warn!("shut down with deliveries in progress: Event Grid delivers them again");
    }
}

/// Serves probes on a port of their own, as long as the process lives.
pub(super) async fn serve_probes(listener: TcpListener, router: Router) {
    let [total, for_each_peer] = PROBE_CONNECTIONS;
    let places = Places::new(total, for_each_peer);
    accept(&listener, &router, &places, &GracefulShutdown::new()).await;
}

/// Accepts connections, and serves each in a task. It does not end.
async fn accept(
    listener: &TcpListener,
    router: &Router,
    places: &Arc<Places>,
    graceful: &GracefulShutdown,
) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Usually, the process is out of file descriptors: the next attempt has to wait.
                tracing::warn!(%error, "a connection was not accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Without a place, the connection is closed at once.
        if let Some(place) = places.take(peer.ip()) {
            spawn(stream, router, place, graceful);
        }
    }
}

/// Serves a connection in a task of its own.
fn spawn(stream: TcpStream, router: &Router, place: Place, graceful: &GracefulShutdown) {
    let routed = TowerToHyperService::new(router.clone());
    let progress = Arc::clone(&place.progress);
    let service = service_fn(move |request| {
        progress.begun();
        let (response, progress) = (routed.call(request), Arc::clone(&progress));
        async move {
            let response = response.await;
            progress.answered();
            response
        }
    });
    let observed = Observed {
        stream,
        progress: Arc::clone(&place.progress),
    };
    let connection = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(observed), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        tokio::select! {
            // An error means that the sender disconnected, or does not speak HTTP.
            _ = connection => {}
            () = place.progress.expired() => {}
        }
    });
}

/// A connection that notes when bytes arrive.
struct Observed {
    stream: TcpStream,
    progress: Arc<Progress>,
}

impl AsyncRead for Observed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.progress.received();
        }
        read
    }
}

impl AsyncWrite for Observed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
