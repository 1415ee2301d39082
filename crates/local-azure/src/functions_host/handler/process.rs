//! One process of the handler.

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

/// The pause between two looks whether the handler is ready.
const READY_POLL: Duration = Duration::from_millis(25);

/// How the handler is started.
#[derive(Clone)]
pub(in crate::functions_host) struct Launch {
    pub(in crate::functions_host) executable: PathBuf,
    pub(in crate::functions_host) arguments: Vec<String>,
    pub(in crate::functions_host) app_root: PathBuf,
    pub(in crate::functions_host) working_directory: PathBuf,
    pub(in crate::functions_host) environment: Vec<(String, String)>,
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pub(super) pid: u32,
    pub(super) port: u16,
}

impl Process {
    /// Starts the process on a free port and logs what it prints.
    pub(super) fn start(launch: &Launch, log: &HostLog) -> io::Result<Self> {
        // Free now, and likely to stay so until the handler takes it. The real host does the same.
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

    /// Waits until the process ends by itself.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Sends SIGKILL, as every stop of the real host does, and waits for the end.
    pub(super) async fn kill(&mut self) {
        // Fails only if the process has ended already.
        let _ = self.child.kill().await;
    }
}

impl fmt::Debug for Launch {
    /// Leaves the environment out: it holds the app's settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("executable", &self.executable)
            .field("arguments", &self.arguments)
            .field("working_directory", &self.working_directory)
            .finish_non_exhaustive()
    }
}

/// Asks for `GET /` at once and then every 25 ms until anything answers.
///
/// Only a connection that is refused means "wait"; a server that accepts and never answers blocks.
/// Source: `DefaultHttpWorkerService.IsWorkerReady` in Azure/azure-functions-host.
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

/// What the handler gets of our own environment. All else would differ from machine to machine.
#[expect(
    clippy::disallowed_methods,
    reason = "the handler gets these two as they are here, whatever they are"
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
    // Bytes rather than text: a line that is not UTF-8 must not end the copying.
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
