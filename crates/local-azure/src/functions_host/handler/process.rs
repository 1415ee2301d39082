//! The handler's process.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::functions_host::log::{HostLog, LogLevel, LogSource};

/// The interval of the readiness checks.
const READY_POLL: Duration = Duration::from_millis(25);

/// The command line and environment of the handler.
#[derive(Clone)]
pub(crate) struct Launch {
    pub(crate) executable: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) app_root: PathBuf,
    pub(crate) working_directory: PathBuf,
    pub(crate) environment: Vec<(String, String)>,
}

/// A process of the handler. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) pid: u32,
    pub(super) port: u16,
}

impl Process {
    /// Starts the process on a free port and copies its output to the log.
    pub(super) fn start(launch: &Launch, log: &HostLog) -> io::Result<Self> {
        // Another process can take the port before the handler does. The real host has the same
        // race.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let worker_id = Uuid::new_v4().to_string();
        let mut child = Command::new(&launch.executable)
            .args(&launch.arguments)
            .current_dir(&launch.working_directory)
            .env_clear()
            .envs(inherited())
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
            .env("FUNCTIONS_HTTPWORKER_PORT", port.to_string())
            .env("FUNCTIONS_CUSTOMHANDLER_WORKER_ID", &worker_id)
            .env("FUNCTIONS_HTTPWORKER_ID", &worker_id)
            .env("FUNCTIONS_APP_ROOT_PATH", &launch.app_root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child
            .id()
            .ok_or_else(|| io::Error::other("the process has no id"))?;
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(copy_lines(stdout, log.clone(), |_| LogLevel::Information));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(copy_lines(stderr, log.clone(), level_of_error_line));
        }
        Ok(Self { child, pid, port })
    }

    /// Waits until the process exits.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Sends SIGKILL, as the real host always does, and waits for the end.
    pub(super) async fn kill(&mut self) {
        // Fails only if the process has already ended.
        let _ = self.child.kill().await;
    }
}

impl fmt::Debug for Launch {
    /// Omits the environment, which holds the app's settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("executable", &self.executable)
            .field("arguments", &self.arguments)
            .field("working_directory", &self.working_directory)
            .finish_non_exhaustive()
    }
}

/// Sends `GET /` immediately and then every 25 ms until there is a response.
///
/// Only a refused connection is retried. A server that accepts the connection and never responds
/// blocks the call. Source: `DefaultHttpWorkerService.IsWorkerReady` in Azure/azure-functions-host.
pub(super) async fn ready(client: reqwest::Client, port: u16) {
    let url = format!("http://127.0.0.1:{port}/");
    while client
        .get(&url)
        .send()
        .await
        .is_err_and(|error| error.is_connect())
    {
        tokio::time::sleep(READY_POLL).await;
    }
}

/// The variables that the handler inherits. All others would differ between machines.
#[expect(
    clippy::disallowed_methods,
    reason = "the handler inherits these two variables unchanged"
)]
fn inherited() -> impl Iterator<Item = (&'static str, OsString)> {
    ["PATH", "HOME"]
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
}

fn level_of_error_line(line: &str) -> LogLevel {
    if line.to_ascii_lowercase().contains("warn") {
        LogLevel::Warning
    } else {
        LogLevel::Error
    }
}

async fn copy_lines(output: impl AsyncRead + Unpin, log: HostLog, level: fn(&str) -> LogLevel) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    // Reads bytes, because a line that is not UTF-8 must not end the copying.
    while output
        .read_until(b'\n', &mut line)
        .await
        .is_ok_and(|read| read > 0)
    {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        log.write(level(&text), LogSource::Console, None, text);
        line.clear();
    }
}
