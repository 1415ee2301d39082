//! The processes of apps, which get their settings as environment variables.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::apps::{LocalApp, ProcessState};

/// A line that an app's process wrote to standard output or standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppLine {
    /// The app: `site`, or `site/slot`.
    pub app: String,
    /// The process id.
    pub process: u32,
    /// The line without its line ending.
    pub text: String,
}

/// The delay before an app that exited is restarted.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Keeps an app's process running and restarts it when its state changes. A stopped app has no
/// process. Dropping the future kills the process.
pub(crate) async fn keep_running(
    app: Arc<LocalApp>,
    path: String,
    lines: Option<mpsc::UnboundedSender<AppLine>>,
) {
    let mut state = app.process.subscribe();
    let Some((program, arguments)) = app.command.split_first() else {
        return;
    };
    loop {
        let ProcessState {
            environment,
            is_stopped,
            ..
        } = state.borrow_and_update().clone();
        if is_stopped {
            match state.changed().await {
                Ok(()) => continue,
                Err(_) => return,
            }
        }
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", &path).envs(
            environment
                .iter()
                .map(|(name, value)| (name, value.expose())),
        );
        tokio::select! {
            () = run_once(&app.short_name, command, lines.as_ref()) => tokio::time::sleep(RESTART_DELAY).await,
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

/// Runs the program until it exits.
async fn run_once(app: &str, mut command: Command, lines: Option<&mpsc::UnboundedSender<AppLine>>) {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return tracing::error!(app, %error, "the app's process cannot be started"),
    };
    let process = child.id().unwrap_or_default();
    tracing::info!(app, process, "the app's process has started");
    let (output, error) = (child.stdout.take(), child.stderr.take());
    let forward = |text| {
        if let Some(lines) = lines {
            // Fails without a receiver, which does not concern the app.
            let _ = lines.send(AppLine {
                app: app.to_owned(),
                process,
                text,
            });
        }
    };
    tokio::join!(each_line(output, &forward), each_line(error, &forward));
    match child.wait().await {
        Ok(status) => tracing::warn!(app, process, %status, "the app's process exited"),
        Err(error) => tracing::error!(app, process, %error, "cannot wait for the app's process"),
    }
}

/// Forwards each line until the stream ends.
async fn each_line(stream: Option<impl AsyncRead + Unpin>, forward: impl Fn(String)) {
    let Some(stream) = stream else { return };
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        forward(line);
    }
}
