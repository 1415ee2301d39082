//! Connections: how they are accepted, how long they may keep silent, and how they end.
//!
//! `axum::serve` has no time limit for the head of a request, so whoever connects and says nothing would stay for ever;
//! hence hyper underneath it, with a timer. HTTP/1.1 is what an ingress speaks to a container unless it is told otherwise.

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

use super::limits::Limits;

/// How long the head of a request may take, and how long a connection may be idle: longer than the minute that ingresses
/// keep one for the next request, so that it is they who close it.
const HEAD_WITHIN: Duration = Duration::from_secs(75);

/// Connections at once beside those of the deliveries that are handled: for probes, for those between two requests, and for
/// those that are told to come later. Further ones wait in the system's queue.
const FURTHER_CONNECTIONS: usize = 1_000;

/// How long deliveries may take that were begun when the word to stop came. Kubernetes and Container Apps kill after 30 s.
const FINISH_WITHIN: Duration = Duration::from_secs(25);

/// Answers requests until the word to stop comes, and what was begun is finished.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    stop: &CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.at_once() + FURTHER_CONNECTIONS));
    let next = async || {
        // Nobody closes it.
        let place = Arc::clone(&places).acquire_owned().await;
        (place, listener.accept().await)
    };
    while let Some((place, accepted)) = stop.run_until_cancelled(next()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: the next attempt must not come at once.
                tracing::warn!(%error, "a connection was not accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(router.clone()),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // An error is a sender that went away, or that did not speak HTTP.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let finished = async {
        graceful.shutdown().await;
        // Those whose sender did not wait for the answer.
        limits.idle().await;
    };
    if timeout(FINISH_WITHIN, finished).await.is_err() {
        tracing::warn!("stopped in the middle of deliveries: Event Grid delivers them again");
    }
}
