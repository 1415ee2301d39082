//! The measurement of refreshes: a refresh, then statuses until a change or the end of the time.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::operation::{App, Operation};
use super::rows::{Goal, Row};
use super::session::{Interrupted, PAUSE, Rows, Session};
use crate::out;

/// The pauses and time limits of a calibration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The pause between two reads of the statuses.
    pub(super) every: Duration,
    /// The time to wait for the effect of a refresh.
    pub(super) limit: Duration,
}

/// The state of the secret's newest version during a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// A new version that is disabled.
    Disabled,
    /// A new version that is enabled.
    Enabled,
    /// The version that was there.
    Unchanged,
}

/// One or two refreshes of an app and their effect.
#[derive(Debug, Clone)]
pub(super) struct Measurement {
    pub(super) app: App,
    pub(super) version: Version,
    /// Whether a refresh that takes must show. Otherwise the absence of a change means nothing.
    pub(super) must_show: bool,
    pub(super) refreshes: Vec<RefreshEffect>,
}

/// The effect of one refresh.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RefreshEffect {
    /// The statuses changed this long after the refresh.
    Took(Duration),
    /// The statuses stayed as they were for all of the time.
    None,
    /// The refresh or the statuses failed.
    Unknown,
}

/// The statuses after a refresh.
pub(super) enum Watched {
    Changed(Duration),
    Unchanged,
    Unseen,
}

impl Measurement {
    /// The refresh that took: its number, counted from 0, and its duration.
    pub(super) fn success(&self) -> Option<(usize, Duration)> {
        let mut effects = self.refreshes.iter().enumerate();
        effects.find_map(|(number, effect)| match effect {
            RefreshEffect::Took(duration) => Some((number, *duration)),
            _ => None,
        })
    }

    /// Whether a refresh took. `None` if the measurement does not tell.
    pub(super) fn took(&self, number: usize) -> Option<bool> {
        let is_known = self.must_show || self.success().is_some();
        match self.refreshes.get(number)? {
            RefreshEffect::Took(_) => Some(true),
            RefreshEffect::None => is_known.then_some(false),
            RefreshEffect::Unknown => None,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let seconds: Vec<Value> = self.refreshes.iter().map(|it| it.to_json()).collect();
        let version = match self.version {
            Version::Disabled => "disabled",
            Version::Enabled => "enabled",
            Version::Unchanged => "unchanged",
        };
        json!({ "app": self.app.noun(), "newest_version": version, "refreshes": seconds })
    }
}

impl RefreshEffect {
    fn to_json(self) -> Value {
        match self {
            Self::Took(duration) => json!({ "effect": "took", "seconds": seconds(duration) }),
            Self::None => json!({ "effect": "none" }),
            Self::Unknown => json!({ "effect": "unknown" }),
        }
    }
}

/// A duration in seconds with two decimals.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100.0).round() / 100.0
}

impl Session {
    /// Refreshes an app until its statuses reach the goal, at most `refreshes` times.
    pub(super) async fn measure(
        &mut self,
        app: App,
        goal: &Goal,
        refreshes: usize,
        pace: Pace,
    ) -> Result<Vec<RefreshEffect>, Interrupted> {
        let mut effects = Vec::new();
        for number in 1..=refreshes {
            out::note(&format!(
                "refresh {number} of the {}, then statuses for up to {} s",
                app.noun(),
                pace.limit.as_secs_f64()
            ));
            let effect = match self.refresh(app).await? {
                None => RefreshEffect::Unknown,
                Some((sent, rows)) if goal.is_met(&rows) => RefreshEffect::Took(sent.elapsed()),
                Some((sent, _)) => {
                    let list = Operation::SettingStatuses;
                    match self.watch(list, app, sent, goal, pace).await? {
                        Watched::Changed(after) => RefreshEffect::Took(after),
                        Watched::Unchanged => RefreshEffect::None,
                        Watched::Unseen => RefreshEffect::Unknown,
                    }
                }
            };
            effects.push(effect);
            if effect != RefreshEffect::None {
                break;
            }
        }
        Ok(effects)
    }

    /// Refreshes an app, and again if Azure fails to execute it. Returns the time of the refresh
    /// and the rows in the response, or `None` if it failed.
    pub(super) async fn refresh(
        &mut self,
        app: App,
    ) -> Result<Option<(Instant, Vec<Row>)>, Interrupted> {
        for attempt in 0..2 {
            if attempt > 0 {
                self.pause(PAUSE).await?;
            }
            let response = self.call(Operation::Refresh, app).await?;
            if response.is_success() {
                return Ok(Some((response.sent, self.rows_of(&response.body))));
            }
            if response.is_refused() {
                break;
            }
        }
        Ok(None)
    }

    /// Reads statuses until they reach the goal or the time since `since` is over.
    pub(super) async fn watch(
        &mut self,
        list: Operation,
        app: App,
        since: Instant,
        goal: &Goal,
        pace: Pace,
    ) -> Result<Watched, Interrupted> {
        let mut was_read = false;
        while since.elapsed() < pace.limit || !was_read {
            self.pause(pace.every).await?;
            match self.rows(list, app).await? {
                Rows::Read(rows) if goal.is_met(&rows) => {
                    return Ok(Watched::Changed(since.elapsed()));
                }
                Rows::Read(_) => was_read = true,
                Rows::Refused => return Ok(Watched::Unseen),
                Rows::Failed if since.elapsed() >= pace.limit => return Ok(Watched::Unseen),
                Rows::Failed => {}
            }
        }
        Ok(Watched::Unchanged)
    }
}
