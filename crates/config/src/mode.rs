//! The words that some keys accept.

use keyrelay_model::RefreshRule;
use serde::{Deserialize, Serialize};

/// Whether traces, metrics and logs are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TelemetryMode {
    /// Sent to the destination that the environment names.
    Auto,
    /// Not sent.
    Off,
}

impl TelemetryMode {
    pub(crate) const WORDS: [(&'static str, Self); 2] = [("auto", Self::Auto), ("off", Self::Off)];
}

/// The mode: the extent to which apps may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Decide and apply.
    Enforce,
    /// Decide and record, change nothing.
    Monitor,
    /// The kill switch: events are recorded, nothing is decided.
    Off,
}

impl Mode {
    pub(crate) const WORDS: [(&'static str, Self); 3] = [
        ("enforce", Self::Enforce),
        ("monitor", Self::Monitor),
        ("off", Self::Off),
    ];
}

/// The words of `refresh`.
pub(crate) const REFRESH_WORDS: [(&str, RefreshRule); 2] =
    [("twice", RefreshRule::Twice), ("once", RefreshRule::Once)];

/// The level of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// Also warnings.
    Warn,
    /// Also one line for each rotation.
    Info,
    /// Also one line for each request to Azure.
    Debug,
}

impl LogLevel {
    pub(crate) const WORDS: [(&'static str, Self); 4] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
    ];
}
