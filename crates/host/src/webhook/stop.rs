//! The word to stop: SIGTERM from Kubernetes and Container Apps, SIGINT from a terminal.
//!
//! Both wait about 30 s before they kill (`terminationGracePeriodSeconds`), a little more than a delivery may take.

use std::io;

use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first signal.
pub(super) fn on_signal() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let told = stop.clone();
    let signal = signal()?;
    tokio::spawn(async move {
        signal.await;
        tracing::info!("told to stop: what was begun is finished");
        told.cancel();
    });
    Ok(stop)
}

#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    // Not in the future: from here on, and not only when it is polled, the signals are ours.
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
