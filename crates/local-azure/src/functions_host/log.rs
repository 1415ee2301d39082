//! The log of the Functions host, in the form that Application Insights receives.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::journal::Journal;

/// The number of lines that are kept in memory.
const KEPT_LINES: usize = 100_000;

/// The number of lines that a slow subscriber may lag behind before it loses the oldest.
const BROADCAST_LINES: usize = 4_096;

/// The severity of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// A line of the handler's standard output, or of the `Logs` of a response.
    Information,
    /// A line of standard error that contains `warn`.
    Warning,
    /// Any other line of standard error, or a failure in the host.
    Error,
}

/// The source of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// The Functions host.
    Host,
    /// The handler's console. Such lines belong to no invocation.
    Console,
    /// The function of this name, through the `Logs` of a response.
    Function(String),
}

/// One line of the log.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// The time at which the line was written.
    pub time: Timestamp,
    /// The severity.
    pub level: LogLevel,
    /// The source.
    pub source: LogSource,
    /// The invocation that the line belongs to, if the host knows it.
    pub invocation_id: Option<String>,
    /// The instance that the line comes from, counted from 0. `None` means the host as a whole.
    pub instance: Option<usize>,
    /// The text, without the line ending.
    pub text: String,
}

/// A log that keeps lines in memory, sends them to subscribers, and appends them to an optional
/// file. Clones share the same log.
#[derive(Debug, Clone)]
pub struct HostLog {
    inner: Arc<LogInner>,
    /// The instance whose lines are written through this clone.
    instance: Option<usize>,
}

#[derive(Debug)]
struct LogInner {
    lines: Journal<LogLine>,
    subscribers: broadcast::Sender<LogLine>,
    file: Option<Mutex<File>>,
}

impl HostLog {
    /// Creates a log in memory only.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// Creates a log that also appends to a file. The file is created if it is missing.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self::with(Some(Mutex::new(file))))
    }

    fn with(file: Option<Mutex<File>>) -> Self {
        let subscribers = broadcast::Sender::new(BROADCAST_LINES);
        Self {
            inner: Arc::new(LogInner {
                lines: Journal::new(KEPT_LINES),
                subscribers,
                file,
            }),
            instance: None,
        }
    }

    /// The same log, for the lines of one instance.
    pub(super) fn of_instance(&self, instance: usize) -> Self {
        Self {
            instance: Some(instance),
            ..self.clone()
        }
    }

    /// The last 100,000 lines, oldest first.
    pub fn lines(&self) -> Vec<LogLine> {
        self.inner.lines.snapshot()
    }

    /// Subscribes to all future lines.
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
            // A full disk must not stop the handler. The line is still in memory.
            let _ = writeln!(
                file.lock().unwrap_or_else(PoisonError::into_inner),
                "{line}"
            );
        }
        self.inner.lines.push(line.clone());
        // Fails without subscribers.
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
    /// Omits the first instance, which is usually the only one.
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
