//! The signals that end a command which runs until it is interrupted.

use std::io;

/// Returns a future that ends with Ctrl-C, or with the signals of a closed terminal (SIGHUP) and of
/// `kill` or a service manager (SIGTERM).
#[cfg(unix)]
pub(crate) fn interruption() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    // Registered outside the future, so that signals are caught before it is first polled.
    let (mut interrupt, mut terminate, mut hangup) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    );
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => (),
            _ = terminate.recv() => (),
            _ = hangup.recv() => (),
        }
    })
}

/// Returns a future that ends with Ctrl-C.
#[cfg(not(unix))]
pub(crate) fn interruption() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}
