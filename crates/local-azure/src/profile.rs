//! Profiles: the behaviour of Azure that is undocumented, or that users describe differently.

mod calibration;

use std::time::Duration;

pub use calibration::ProfileError;

use crate::clock::Clock;

/// The behaviour of Resource Manager and of apps where descriptions of Azure differ.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent observation about Azure"
)]
pub struct Profile {
    /// Whether the status of a reference names the version that the app uses. Otherwise
    /// `activeVersion` is null, and `secretVersion` is there only for references with a version.
    pub names_active_version: bool,
    /// The time between a refresh and the resolution of the references. Until then their status
    /// does not change.
    pub refresh_takes: Duration,
    /// The time after a new version of a secret in which a refresh that begins has no effect on the
    /// references to that secret. The versions that the world starts with are not new.
    pub ignores_refresh_within: Duration,
    /// Whether references in a list have no id and only the properties of live captures.
    pub lists_rows_as_captured: bool,
    /// Whether the environment has every setting also as `APPSETTING_<name>`.
    pub doubles_settings: bool,
    /// Whether the environment of the handler has `WEBSITE_RESOURCE_GROUP`.
    pub names_resource_group: bool,
}

impl Profile {
    /// The kindest behaviour: each refresh takes effect, after 200 ms, and everything documented is
    /// there.
    pub fn ideal() -> Self {
        Self {
            names_active_version: true,
            refresh_takes: Duration::from_millis(200),
            ignores_refresh_within: Duration::ZERO,
            lists_rows_as_captured: false,
            doubles_settings: false,
            names_resource_group: true,
        }
    }

    /// The behaviour in the reports of users: no active version, a refresh that needs 15 s and has
    /// no effect in the first 20 s after a new version, and no resource group.
    pub fn as_reported() -> Self {
        Self {
            names_active_version: false,
            refresh_takes: Duration::from_secs(15),
            ignores_refresh_within: Duration::from_secs(20),
            lists_rows_as_captured: true,
            doubles_settings: true,
            names_resource_group: false,
        }
    }

    /// The same behaviour with all durations divided by a factor.
    #[must_use]
    pub fn faster(self, factor: f64) -> Self {
        let clock = Clock::new(factor);
        Self {
            refresh_takes: clock.shorten(self.refresh_takes),
            ignores_refresh_within: clock.shorten(self.ignores_refresh_within),
            ..self
        }
    }

    /// The behaviour that `keyrelay calibrate` found in a subscription, from the text of its file.
    /// [`as_reported`](Self::as_reported) completes it.
    pub fn from_calibration(text: &str) -> Result<Self, ProfileError> {
        calibration::profile(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faster_profile_differs_in_its_durations_only() {
        let faster = Profile {
            refresh_takes: Duration::from_millis(150),
            ignores_refresh_within: Duration::from_millis(200),
            ..Profile::as_reported()
        };
        assert_eq!(Profile::as_reported().faster(100.0), faster);
    }
}
