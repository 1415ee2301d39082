//! The log of the Functions host, as Application Insights would get it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::journal::Journal;

/// Lines that are kept in memory.
const KEPT_LINES: usize = 100_000;

/// Lines that a slow subscriber may lag behind before it loses the oldest.
const BROADCAST_LINES: usize = 4_096;

/// How severe a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// A line of the handler's standard output, or of the `Logs` of an answer.
    Information,
    /// A line of standard error with the letters `warn` in it.
    Warning,
    /// Any other line of standard error, and what fails in the host.
    Error,
}

/// Who wrote a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// The Functions host.
    Host,
    /// The handler, on its console. Such lines belong to no invocation.
    Console,
    /// The function of this name, in the `Logs` of an answer.
    Function(String),
}

/// One line of the log.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// When it was written.
    pub time: Timestamp,
    /// How severe it is.
    pub level: LogLevel,
    /// Who wrote it.
    pub source: LogSource,
    /// The invocation it belongs to, if the host can know.
    pub invocation_id: Option<String>,
    /// The instance it comes from, counted from 0. None: the host as a whole.
    pub instance: Option<usize>,
    /// The text, without the line's end.
    pub text: String,
}

/// Where the lines go: a list in memory, everybody who has subscribed, and a file if there is one. Clones share all.
#[derive(Debug, Clone)]
pub struct HostLog {
    inner: Arc<Inner>,
    /// What is written here comes from this instance.
    instance: Option<usize>,
}

#[derive(Debug)]
struct Inner {
    lines: Journal<LogLine>,
    subscribers: broadcast::Sender<LogLine>,
    file: Option<Mutex<File>>,
}

impl HostLog {
    /// A log in memory only.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// A log that is appended to a file as well, which is created if it is not there.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self::with(Some(Mutex::new(file))))
    }

    fn with(file: Option<Mutex<File>>) -> Self {
        let subscribers = broadcast::Sender::new(BROADCAST_LINES);
        Self {
            inner: Arc::new(Inner {
                lines: Journal::new(KEPT_LINES),
                subscribers,
                file,
            }),
            instance: None,
        }
    }

    /// The same log, for what comes from one instance.
    pub(super) fn of_instance(&self, instance: usize) -> Self {
        Self {
            instance: Some(instance),
            ..self.clone()
        }
    }

    /// The lines so far, oldest first: the last 100,000.
    pub fn lines(&self) -> Vec<LogLine> {
        self.inner.lines.snapshot()
    }

    /// The lines from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<LogLine> {
        self.inner.subscribers.subscribe()
    }

    pub(super) fn write(
        &self,
        level: LogLevel,
        source: LogSource,
        invocation_id: Option<&str>,
        text: String,
    ) {
        let invocation_id = invocation_id.map(str::to_owned);
        let line = LogLine {
            time: Timestamp::now(),
            level,
            source,
            invocation_id,
            instance: self.instance,
            text,
        };
        if let Some(file) = &self.inner.file {
            // A full disk must not stop the handler; the line is still in memory.
            let _ = writeln!(
                file.lock().unwrap_or_else(PoisonError::into_inner),
                "{line}"
            );
        }
        self.inner.lines.push(line.clone());
        // Fails if nobody listens.
        let _ = self.inner.subscribers.send(line);
    }
}

impl Default for HostLog {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Information => "Information",
            Self::Warning => "Warning",
            Self::Error => "Error",
        })
    }
}

impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("Host"),
            Self::Console => f.write_str("Host.Function.Console"),
            Self::Function(name) => write!(f, "Function.{name}.User"),
        }
    }
}

impl fmt::Display for LogLine {
    /// Names the instance unless it is the first, which is mostly the only one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.3} [{}] {}: {}",
            self.time, self.level, self.source, self.text
        )?;
        if let Some(id) = &self.invocation_id {
            write!(f, " (invocation {id})")?;
        }
        match self.instance {
            None | Some(0) => Ok(()),
            Some(instance) => write!(f, " (instance {instance})"),
        }
    }
}
