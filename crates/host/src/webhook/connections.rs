//! Accepts connections, limits their idle time, and closes them at shutdown.
//!
//! `axum::serve` has no time limit for the head of a request: a silent connection would stay
//! indefinitely. So hyper is used directly, with a timer. An ingress speaks HTTP/1.1 to a container
//! by default.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::limits::DeliveryLimits;

/// Longest time for the head of a request, and longest idle time of a connection. It is longer than
/// the minute for which an ingress keeps a connection, so that the ingress closes it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Largest number of connections in addition to the concurrent deliveries: for probes, idle
/// connections, and deliveries that are refused by a limit. Further connections wait in the backlog
/// of the operating system.
const EXTRA_CONNECTIONS: usize = 1_000;

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
    let permits = Arc::new(Semaphore::new(limits.concurrency() + EXTRA_CONNECTIONS));
    let next = async || {
        // The semaphore is never closed.
        let permit = Arc::clone(&permits).acquire_owned().await;
        (permit, listener.accept().await)
    };
    while let Some((permit, accepted)) = shutdown.run_until_cancelled(next()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Usually, the process is out of file descriptors: the next attempt has to wait.
                tracing::warn!(%error, "a connection was not accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(router.clone()),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // An error means that the sender disconnected, or does not speak HTTP.
            let _ = connection.await;
            drop(permit);
        });
    }
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
