//! The file of a calibration.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::calibration::Observations;
use super::findings::Findings;
use super::measurement::{Measurement, Pace};
use super::session::Session;

/// The version of the format.
const FORMAT: u32 = 1;

/// A file that can be written.
pub(super) struct File(PathBuf);

/// The content, in the order in which it is read.
#[derive(Serialize)]
struct Content<'a> {
    format: u32,
    keyrelay: &'static str,
    date: String,
    every_seconds: f64,
    for_seconds: f64,
    sets_secret: bool,
    summary: &'a [String],
    findings: Value,
    measurements: Vec<Value>,
    calls: Vec<Value>,
}

impl File {
    /// Checks that the file can be written, before anything is changed.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    pub(super) fn write(
        &self,
        session: &Session,
        pace: Pace,
        seen: &Observations,
        findings: &Findings,
        summary: &[String],
    ) -> anyhow::Result<()> {
        let content = Content {
            format: FORMAT,
            keyrelay: env!("CARGO_PKG_VERSION"),
            date: format!("{:.0}", Timestamp::now()),
            every_seconds: pace.every.as_secs_f64(),
            for_seconds: pace.limit.as_secs_f64(),
            sets_secret: session.secret.is_some(),
            summary,
            findings: findings.to_json(),
            measurements: seen.measurements.iter().map(Measurement::to_json).collect(),
            calls: session.journal.to_json(),
        };
        let mut text = serde_json::to_string_pretty(&content)?;
        text.push('\n');
        std::fs::write(&self.0, text)
            .with_context(|| format!("cannot write `{}`", self.0.display()))
    }
}
