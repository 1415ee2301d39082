//! What a Functions host is started with.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::log::HostLog;

/// How to start a [`FunctionsHost`](super::FunctionsHost). The defaults of [`new`](Self::new) are Azure's.
#[derive(Clone)]
pub struct FunctionsHostOptions {
    /// The folder with `host.json`.
    pub app_root: PathBuf,
    /// The app settings, and whatever else the platform sets, such as the identity endpoint. The handler gets these,
    /// the host's own variables, `PATH` and `HOME`, and nothing else.
    pub environment: Vec<(String, String)>,
    /// How many handlers run, as when the platform has scaled the app out: 1. Each is watched for itself, with a port and
    /// a `WEBSITE_INSTANCE_ID` of its own. 0 is taken as 1.
    pub instances: usize,
    /// How long an invocation may take before the handler is killed: 30 minutes.
    pub function_timeout: Duration,
    /// How long the handler may take until it answers `GET /`: 30 seconds. Invocations wait as long, at most.
    pub start_timeout: Duration,
    /// How many crashes, each less than `crash_interval` after the one before, stop an instance: 3.
    pub max_crashes: usize,
    /// See `max_crashes`: 30 minutes.
    pub crash_interval: Duration,
    /// The host's own port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Whether the value of an event trigger is sent as a string that holds the event, as older extensions do.
    pub double_encoded: bool,
    /// Where the log goes.
    pub log: HostLog,
}

impl FunctionsHostOptions {
    /// Azure's defaults for the app in this folder, no settings, a free port and a log in memory.
    pub fn new(app_root: impl Into<PathBuf>) -> Self {
        Self {
            app_root: app_root.into(),
            environment: Vec::new(),
            instances: 1,
            function_timeout: Duration::from_secs(30 * 60),
            start_timeout: Duration::from_secs(30),
            max_crashes: 3,
            crash_interval: Duration::from_secs(30 * 60),
            port: 0,
            double_encoded: false,
            log: HostLog::new(),
        }
    }
}

impl fmt::Debug for FunctionsHostOptions {
    /// Leaves the environment out: it holds the app's settings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionsHostOptions")
            .field("app_root", &self.app_root)
            .field("instances", &self.instances)
            .field("function_timeout", &self.function_timeout)
            .field("start_timeout", &self.start_timeout)
            .field("max_crashes", &self.max_crashes)
            .field("crash_interval", &self.crash_interval)
            .field("port", &self.port)
            .field("double_encoded", &self.double_encoded)
            .finish_non_exhaustive()
    }
}
