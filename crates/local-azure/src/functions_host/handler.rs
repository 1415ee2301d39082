//! The handler's process on one instance: start, supervision, restart after a crash.

mod crashes;
mod process;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::log::{HostLog, LogLevel, LogSource};
use crashes::Crashes;
pub(super) use process::Launch;
use process::Process;

/// The state of the handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandlerStatus {
    /// The process has started, and `GET /` has no response yet.
    Starting,
    /// Ready for invocations.
    Running {
        /// The process id.
        pid: u32,
        /// The port on 127.0.0.1.
        port: u16,
    },
    /// The process exited with this code, which is 0. It is not restarted.
    Dead(i32),
    /// The host has stopped. The reason is the last crash or a request to stop.
    Stopped(String),
}

impl HandlerStatus {
    /// Whether the handler will not run again.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Dead(_) | Self::Stopped(_))
    }
}

impl fmt::Display for HandlerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Running { pid, port } => write!(f, "running as process {pid} on port {port}"),
            Self::Dead(code) => write!(f, "dead since it exited with code {code}"),
            Self::Stopped(reason) => write!(f, "stopped: {reason}"),
        }
    }
}

/// A handle that kills the handler of one instance. Clones refer to the same handler.
#[derive(Debug, Clone)]
pub struct HandlerKill(pub(super) Handler);

impl HandlerKill {
    /// Sends SIGKILL to the current process and waits until it has ended and is reaped. This counts
    /// as a crash, so another process is started. The call does not wait for that one.
    pub async fn killed(&self) {
        // The closed channel is the signal: see `HandlerCommand::Crash`.
        let _ = self.0.crash().await;
    }
}

/// The start options of the handler and the limit of crashes.
#[derive(Debug, Clone)]
pub(super) struct Supervision {
    pub(super) launch: Launch,
    pub(super) start_timeout: Duration,
    pub(super) max_crashes: usize,
    pub(super) crash_interval: Duration,
}

/// A handle to the handler. Clones refer to the same handler.
#[derive(Debug, Clone)]
pub(super) struct Handler {
    status: watch::Receiver<HandlerStatus>,
    commands: mpsc::UnboundedSender<HandlerCommand>,
    restarts: Arc<AtomicU64>,
    start_timeout: Duration,
}

/// The owner of the handler's process. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Supervisor {
    _task: AbortOnDropHandle<()>,
}

/// A command to the watcher.
#[derive(Debug)]
enum HandlerCommand {
    /// Kills the process as a crash, if it is still the one started after this many restarts.
    /// Dropping `until_gone` signals that the process is gone, so the signal is sent on every path.
    Crash {
        restarts: u64,
        until_gone: oneshot::Sender<Infallible>,
    },
    /// Kills this process and starts a new one, as after the timeout of an invocation.
    Restart { pid: u32 },
    /// Kills the process without a restart.
    Stop,
}

/// The end of one process.
enum ProcessEnd {
    Exited(i32),
    Crashed(String),
    Restarted,
    Stopped,
}

impl Handler {
    /// Starts the process. Fails if the executable cannot be started.
    pub(super) fn start(
        supervision: Supervision,
        client: reqwest::Client,
        log: HostLog,
    ) -> io::Result<(Self, Supervisor)> {
        let process = Process::start(&supervision.launch, &log)?;
        let (status_sender, status) = watch::channel(HandlerStatus::Starting);
        let (commands, receiver) = mpsc::unbounded_channel();
        let restarts = Arc::new(AtomicU64::new(0));
        let start_timeout = supervision.start_timeout;
        let watcher = Watcher {
            supervision,
            client,
            log,
            status: status_sender,
            commands: receiver,
            restarts: Arc::clone(&restarts),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(watcher.watch(process)));
        Ok((
            Self {
                status,
                commands,
                restarts,
                start_timeout,
            },
            Supervisor { _task: task },
        ))
    }

    pub(super) fn status(&self) -> HandlerStatus {
        self.status.borrow().clone()
    }

    pub(super) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Waits while the handler is starting, up to the start timeout.
    pub(super) async fn wait_while_starting(&self) -> HandlerStatus {
        let _ = tokio::time::timeout(self.start_timeout, self.left_start()).await;
        self.status()
    }

    /// Waits while the handler is starting. Fails if the watcher has ended.
    pub(super) async fn left_start(&self) -> Result<(), watch::error::RecvError> {
        self.status
            .clone()
            .wait_for(|status| *status != HandlerStatus::Starting)
            .await
            .map(drop)
    }

    /// Kills the process as a crash. The receiver is closed once the process is gone.
    pub(super) fn crash(&self) -> oneshot::Receiver<Infallible> {
        let (until_gone, gone) = oneshot::channel();
        self.send(HandlerCommand::Crash {
            restarts: self.restarts(),
            until_gone,
        });
        gone
    }

    /// Restarts the process if it still has this id.
    pub(super) fn restart(&self, pid: u32) {
        self.send(HandlerCommand::Restart { pid });
    }

    /// Stops the process and waits until it has ended.
    pub(super) async fn stop(&self) {
        self.send(HandlerCommand::Stop);
        let mut status = self.status.clone();
        // An error means that the watcher and its process are gone.
        let _ = status.wait_for(HandlerStatus::is_final).await;
    }

    fn send(&self, command: HandlerCommand) {
        // Fails if the watcher has ended, and with it the process.
        let _ = self.commands.send(command);
    }
}

/// The task that owns the process.
struct Watcher {
    supervision: Supervision,
    client: reqwest::Client,
    log: HostLog,
    status: watch::Sender<HandlerStatus>,
    commands: mpsc::UnboundedReceiver<HandlerCommand>,
    restarts: Arc<AtomicU64>,
}

impl Watcher {
    /// Supervises the process until the handler is dead or stopped.
    async fn watch(mut self, first: Process) {
        let mut process = first;
        let mut crashes = Crashes::new(
            self.supervision.max_crashes,
            self.supervision.crash_interval,
        );
        let last = loop {
            // Source: `WorkerProcess.OnProcessExited` in Azure/azure-functions-host.
            let (why, crashed) = match self.wait_for_end(&mut process).await {
                ProcessEnd::Exited(0) => break HandlerStatus::Dead(0),
                ProcessEnd::Stopped => break HandlerStatus::Stopped("told to stop".to_owned()),
                ProcessEnd::Exited(200) => (
                    "exited with code 200, which requests a restart".to_owned(),
                    false,
                ),
                ProcessEnd::Restarted => (
                    "was killed after the timeout of an invocation".to_owned(),
                    false,
                ),
                ProcessEnd::Exited(code) => (format!("exited with code {code}"), true),
                ProcessEnd::Crashed(why) => (why, true),
            };
            let level = if crashed {
                LogLevel::Error
            } else {
                LogLevel::Information
            };
            self.log_line(
                level,
                format!("The handler's process {} {why}.", process.pid),
            );
            if crashed && crashes.reaches_limit(Instant::now()) {
                break HandlerStatus::Stopped(format!("too many crashes, the last one: it {why}"));
            }
            self.status.send_replace(HandlerStatus::Starting);
            process = match Process::start(&self.supervision.launch, &self.log) {
                Ok(process) => process,
                Err(error) => {
                    break HandlerStatus::Stopped(format!("the restart failed: {error}"));
                }
            };
            self.restarts.fetch_add(1, Ordering::Relaxed);
        };
        self.log_line(LogLevel::Error, format!("The handler is {last}."));
        self.status.send_replace(last);
    }

    /// Waits for the end of one process and executes commands meanwhile.
    async fn wait_for_end(&mut self, process: &mut Process) -> ProcessEnd {
        let (pid, port) = (process.pid, process.port);
        let number = self.restarts.load(Ordering::Relaxed);
        let mut starting = true;
        let ready = process::ready(self.client.clone(), port);
        let ready = tokio::time::timeout(self.supervision.start_timeout, ready);
        tokio::pin!(ready);
        loop {
            let (end, _until_gone) = tokio::select! {
                ended = process.ended() => return end_of(ended),
                command = self.commands.recv() => match command {
                    Some(HandlerCommand::Crash { restarts, until_gone }) if restarts == number => {
                        (ProcessEnd::Crashed("was killed".to_owned()), Some(until_gone))
                    }
                    Some(HandlerCommand::Restart { pid: slow }) if slow == pid => (ProcessEnd::Restarted, None),
                    // The command concerns a process that is already gone.
                    Some(HandlerCommand::Crash { .. } | HandlerCommand::Restart { .. }) => continue,
                    Some(HandlerCommand::Stop) | None => (ProcessEnd::Stopped, None),
                },
                ready = &mut ready, if starting => {
                    if ready.is_ok() {
                        starting = false;
                        self.status.send_replace(HandlerStatus::Running { pid, port });
                        continue;
                    }
                    // The real host leaves such a handler running and fails every invocation. A
                    // crash is easier to notice.
                    (ProcessEnd::Crashed("did not respond to `GET /` in time".to_owned()), None)
                }
            };
            // The status changes before the process ends, so a caller that waits for the end never
            // sees it as running.
            self.status.send_replace(HandlerStatus::Starting);
            process.kill().await;
            return end;
        }
    }

    fn log_line(&self, level: LogLevel, text: String) {
        self.log.write(level, LogSource::Host, None, text);
    }
}

fn end_of(ended: io::Result<ExitStatus>) -> ProcessEnd {
    match ended.map(|status| status.code()) {
        Ok(Some(code)) => ProcessEnd::Exited(code),
        Ok(None) => ProcessEnd::Crashed("was ended by a signal".to_owned()),
        Err(error) => ProcessEnd::Crashed(format!("cannot be waited for: {error}")),
    }
}
