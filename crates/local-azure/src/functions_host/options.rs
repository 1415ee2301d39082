//! The options of the Functions host.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::log::HostLog;

/// The options of a Functions host. The defaults of [`new`](Self::new) are Azure's.
#[derive(Clone)]
pub struct FunctionsHostOptions {
    /// The folder with `host.json`.
    pub app_root: PathBuf,
    /// The app settings and the variables of the platform, such as the identity endpoint. The
    /// handler gets these, the host's own variables, `PATH` and `HOME`, and no others.
    pub environment: Vec<(String, String)>,
    /// The number of instances of the scaled-out app: 1. Each has its own handler, supervision,
    /// port and `WEBSITE_INSTANCE_ID`. 0 means 1.
    pub instances: usize,
    /// The timeout of an invocation, after which the handler is killed: 30 minutes.
    pub function_timeout: Duration,
    /// The timeout of the handler's first response to `GET /`: 30 seconds. Invocations wait no
    /// longer than that.
    pub start_timeout: Duration,
    /// The number of crashes, each within `crash_interval` of the previous one, that stop an
    /// instance: 3.
    pub max_crashes: usize,
    /// The interval of `max_crashes`: 30 minutes.
    pub crash_interval: Duration,
    /// The host's own port on 127.0.0.1. 0 means a free port.
    pub port: u16,
    /// Whether an event trigger's value is a string that holds the event, as in older extensions.
    pub double_encoded: bool,
    /// The factor by which the clock of timer schedules is faster: 1. With 60 a schedule of once an
    /// hour is due once a minute.
    pub clock: f64,
    /// The host's log.
    pub log: HostLog,
}

impl FunctionsHostOptions {
    /// Azure's defaults for the app in this folder, with no settings, a free port and a log in
    /// memory.
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
            clock: 1.0,
            log: HostLog::new(),
        }
    }
}

impl fmt::Debug for FunctionsHostOptions {
    /// Omits the environment, which holds the app's settings.
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
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
