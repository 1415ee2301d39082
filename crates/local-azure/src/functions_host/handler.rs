//! The handler's process on one instance: started, watched, started again after a crash.

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

/// What the handler is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandlerStatus {
    /// Started, or started again, and not answering `GET /` yet.
    Starting,
    /// Ready for invocations.
    Running {
        /// The process id.
        pid: u32,
        /// The port on 127.0.0.1.
        port: u16,
    },
    /// It ended by itself with this exit code, which is 0: nothing starts it again.
    Dead(i32),
    /// The host stopped: the reason is the last crash, or that it was told to.
    Stopped(String),
}

impl HandlerStatus {
    /// Whether it will never run again.
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

/// Kills the handler of one instance, from wherever it is needed. Clones kill the same one.
#[derive(Debug, Clone)]
pub struct HandlerKill(pub(super) Handler);

impl HandlerKill {
    /// Sends SIGKILL to the process that runs or starts now, and returns when it has ended and the system has forgotten
    /// it. That counts as a crash, so that another process is started, and nothing waits for that one.
    pub async fn killed(&self) {
        // The error is the message: see `Order::Crash`.
        let _ = self.0.crash().await;
    }
}

/// How the handler is started and how many crashes are too many.
#[derive(Debug, Clone)]
pub(super) struct Supervision {
    pub(super) launch: Launch,
    pub(super) start_timeout: Duration,
    pub(super) max_crashes: usize,
    pub(super) crash_interval: Duration,
}

/// The handler, seen from the rest of the host. Clones are the same handler.
#[derive(Debug, Clone)]
pub(super) struct Handler {
    status: watch::Receiver<HandlerStatus>,
    orders: mpsc::UnboundedSender<Order>,
    restarts: Arc<AtomicU64>,
    start_timeout: Duration,
}

/// Keeps the handler's process alive; it is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Supervisor {
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
enum Order {
    /// Kill the process as a crash would, if it still is the one that was started after so many restarts. That it is
    /// gone is told by dropping `until_gone`, so that it is told in any case.
    Crash {
        restarts: u64,
        until_gone: oneshot::Sender<Infallible>,
    },
    /// Kill this process and start a new one, as after an invocation that took too long.
    Restart { pid: u32 },
    /// Kill the process for good.
    Stop,
}

/// How one process came to its end.
enum End {
    Exited(i32),
    Crashed(String),
    Restarted,
    Stopped,
}

impl Handler {
    /// Starts the process. Fails if the executable cannot be started at all.
    pub(super) fn start(
        supervision: Supervision,
        client: reqwest::Client,
        log: HostLog,
    ) -> io::Result<(Self, Supervisor)> {
        let process = Process::start(&supervision.launch, &log)?;
        let (status_sender, status) = watch::channel(HandlerStatus::Starting);
        let (orders, orders_receiver) = mpsc::unbounded_channel();
        let restarts = Arc::new(AtomicU64::new(0));
        let start_timeout = supervision.start_timeout;
        let watcher = Watcher {
            supervision,
            client,
            log,
            status: status_sender,
            orders: orders_receiver,
            restarts: Arc::clone(&restarts),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(watcher.watch(process)));
        Ok((
            Self {
                status,
                orders,
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

    /// Waits while the handler starts, at most as long as a start may take.
    pub(super) async fn settled(&self) -> HandlerStatus {
        let _ = tokio::time::timeout(self.start_timeout, self.left_start()).await;
        self.status()
    }

    /// Waits while the handler starts. The error means that nobody watches it any more.
    pub(super) async fn left_start(&self) -> Result<(), watch::error::RecvError> {
        self.status
            .clone()
            .wait_for(|status| *status != HandlerStatus::Starting)
            .await
            .map(drop)
    }

    /// Kills the process as a crash would. The receiver is closed when it is gone.
    pub(super) fn crash(&self) -> oneshot::Receiver<Infallible> {
        let (until_gone, gone) = oneshot::channel();
        self.order(Order::Crash {
            restarts: self.restarts(),
            until_gone,
        });
        gone
    }

    /// Kills the process if it still is the one with this id, and starts a new one.
    pub(super) fn restart(&self, pid: u32) {
        self.order(Order::Restart { pid });
    }

    /// Returns when the process is gone for good.
    pub(super) async fn stop(&self) {
        self.order(Order::Stop);
        let mut status = self.status.clone();
        // An error means that the watcher is gone, and the process with it.
        let _ = status.wait_for(HandlerStatus::is_final).await;
    }

    fn order(&self, order: Order) {
        // Fails if the watcher has ended: then there is no process to give orders to.
        let _ = self.orders.send(order);
    }
}

/// The task that owns the process.
struct Watcher {
    supervision: Supervision,
    client: reqwest::Client,
    log: HostLog,
    status: watch::Sender<HandlerStatus>,
    orders: mpsc::UnboundedReceiver<Order>,
    restarts: Arc<AtomicU64>,
}

impl Watcher {
    /// Goes on until the handler is dead or stopped.
    async fn watch(mut self, first: Process) {
        let mut process = first;
        let mut crashes = Crashes::new(
            self.supervision.max_crashes,
            self.supervision.crash_interval,
        );
        let last = loop {
            // Source: `WorkerProcess.OnProcessExited` in Azure/azure-functions-host.
            let (why, crashed) = match self.see_to_its_end(&mut process).await {
                End::Exited(0) => break HandlerStatus::Dead(0),
                End::Stopped => break HandlerStatus::Stopped("told to stop".to_owned()),
                End::Exited(200) => (
                    "exited with code 200, which asks for a restart".to_owned(),
                    false,
                ),
                End::Restarted => ("was killed: an invocation took too long".to_owned(), false),
                End::Exited(code) => (format!("exited with code {code}"), true),
                End::Crashed(why) => (why, true),
            };
            let level = if crashed {
                LogLevel::Error
            } else {
                LogLevel::Information
            };
            self.say(
                level,
                format!("The handler's process {} {why}.", process.pid),
            );
            if crashed && crashes.one_too_many(Instant::now()) {
                break HandlerStatus::Stopped(format!("too many crashes, the last one: it {why}"));
            }
            self.status.send_replace(HandlerStatus::Starting);
            process = match Process::start(&self.supervision.launch, &self.log) {
                Ok(process) => process,
                Err(error) => {
                    break HandlerStatus::Stopped(format!("it cannot be started again: {error}"));
                }
            };
            self.restarts.fetch_add(1, Ordering::Relaxed);
        };
        self.say(LogLevel::Error, format!("The handler is {last}."));
        self.status.send_replace(last);
    }

    /// Waits for the end of one process, and carries out the orders that come meanwhile.
    async fn see_to_its_end(&mut self, process: &mut Process) -> End {
        let (pid, port) = (process.pid, process.port);
        let number = self.restarts.load(Ordering::Relaxed);
        let mut starting = true;
        let ready = process::ready(self.client.clone(), port);
        let ready = tokio::time::timeout(self.supervision.start_timeout, ready);
        tokio::pin!(ready);
        loop {
            let (end, _until_gone) = tokio::select! {
                ended = process.ended() => return end_of(ended),
                order = self.orders.recv() => match order {
                    Some(Order::Crash { restarts, until_gone }) if restarts == number => {
                        (End::Crashed("was killed".to_owned()), Some(until_gone))
                    }
                    Some(Order::Restart { pid: slow }) if slow == pid => (End::Restarted, None),
                    // It is about a process that is gone already.
                    Some(Order::Crash { .. } | Order::Restart { .. }) => continue,
                    Some(Order::Stop) | None => (End::Stopped, None),
                },
                answered = &mut ready, if starting => {
                    if answered.is_ok() {
                        starting = false;
                        self.status.send_replace(HandlerStatus::Running { pid, port });
                        continue;
                    }
                    // The real host leaves such a handler running, and every invocation fails. A crash is easier to see.
                    (End::Crashed("did not answer `GET /` in time".to_owned()), None)
                }
            };
            // Before it is gone: who waited for that finds nothing that looks as if it ran.
            self.status.send_replace(HandlerStatus::Starting);
            process.kill().await;
            return end;
        }
    }

    fn say(&self, level: LogLevel, text: String) {
        self.log.write(level, LogSource::Host, None, text);
    }
}

fn end_of(ended: io::Result<ExitStatus>) -> End {
    match ended.map(|status| status.code()) {
        Ok(Some(code)) => End::Exited(code),
        Ok(None) => End::Crashed("was ended by a signal".to_owned()),
        Err(error) => End::Crashed(format!("cannot be watched: {error}")),
    }
}
