//! The signals to shut down: SIGTERM from Kubernetes and Container Apps, SIGINT from a terminal.
//!
//! Both platforms kill the process after 30 s by default (`terminationGracePeriodSeconds`), a
//! little longer than the longest delivery.

use std::io;

use tokio_util::sync::CancellationToken;

/// Returns a token that the first signal cancels.
pub(super) fn on_signal() -> io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let signalled = shutdown.clone();
    let signal = signal()?;
    tokio::spawn(async move {
        signal.await;
        tracing::info!("shutting down after the deliveries in progress");
        signalled.cancel();
    });
    Ok(shutdown)
}

#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    // Registered outside the future, so that signals are caught before it is first polled.
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    })
}

#[cfg(not(unix))]
fn signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}
