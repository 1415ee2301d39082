//! The file of `keyrelay calibrate`.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Profile;

/// The reason that a calibration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// The text is not JSON.
    #[error("the calibration is not JSON, line {line}, column {column}")]
    NotJson {
        /// The number of the line, counted from 1.
        line: usize,
        /// The number of the column, counted from 1.
        column: usize,
    },
    /// The calibration has no findings.
    #[error("the calibration has no object `findings`")]
    NoFindings,
    /// A finding has the wrong form.
    #[error("the finding `{name}` of the calibration is not {expected}")]
    Finding {
        /// The name of the finding.
        name: &'static str,
        /// The expected form.
        expected: &'static str,
    },
}

/// The profile with the findings of a calibration.
pub(super) fn profile(text: &str) -> Result<Profile, ProfileError> {
    let file: Value = serde_json::from_str(text).map_err(|error| ProfileError::NotJson {
        line: error.line(),
        column: error.column(),
    })?;
    let findings = file
        .get("findings")
        .and_then(Value::as_object)
        .ok_or(ProfileError::NoFindings)?;
    let mut profile = Profile::as_reported();
    if let Some(names) = flag(findings, "names_active_version")? {
        profile.names_active_version = names;
    }
    if let Some(takes) = seconds(findings, "refresh_seconds")? {
        profile.refresh_takes = takes;
    }
    if let Some(true) = flag(findings, "first_refresh_took")? {
        profile.ignores_refresh_within = Duration::ZERO;
    }
    if let Some(have_ids) = flag(findings, "rows_have_ids")? {
        profile.lists_rows_as_captured = !have_ids;
    }
    if let Some(named) = flag(findings, "resource_group_named")? {
        profile.names_resource_group = named;
    }
    Ok(profile)
}

/// A finding that is true or false. `None` if it is null or absent.
fn flag(findings: &Map<String, Value>, name: &'static str) -> Result<Option<bool>, ProfileError> {
    match findings.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(ProfileError::Finding {
            name,
            expected: "true, false or null",
        }),
    }
}

/// A finding in seconds. `None` if it is null or absent.
fn seconds(
    findings: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Duration>, ProfileError> {
    let value = match findings.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_f64(),
    };
    value
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(Some)
        .ok_or(ProfileError::Finding {
            name,
            expected: "a number of seconds from 0, or null",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(profile(text).unwrap_err().to_string(), expected, "{text}");
    }

    #[test]
    fn findings_override_the_reports() {
        let text = r#"{
            "version": 1,
            "findings": {
                "names_active_version": true, "refresh_seconds": 3.5, "first_refresh_took": true,
                "rows_have_ids": true, "resource_group_named": true, "colour": "red"
            }
        }"#;
        let expected = Profile {
            names_active_version: true,
            refresh_takes: Duration::from_millis(3_500),
            ignores_refresh_within: Duration::ZERO,
            lists_rows_as_captured: false,
            doubles_settings: true,
            names_resource_group: true,
        };
        assert_eq!(profile(text), Ok(expected));
    }

    #[test]
    fn what_was_not_found_stays_as_reported() {
        let text = r#"{ "findings": {
            "names_active_version": null, "refresh_seconds": null, "first_refresh_took": false,
            "rows_have_ids": null
        } }"#;
        assert_eq!(profile(text), Ok(Profile::as_reported()));
        assert_eq!(profile(r#"{ "findings": {} }"#), Ok(Profile::as_reported()));
    }

    #[test]
    fn errors_name_the_problem() {
        check("{", "the calibration is not JSON, line 1, column 1");
        check("{}", "the calibration has no object `findings`");
        check(
            r#"{ "findings": { "rows_have_ids": "yes" } }"#,
            "the finding `rows_have_ids` of the calibration is not true, false or null",
        );
        check(
            r#"{ "findings": { "refresh_seconds": -1 } }"#,
            "the finding `refresh_seconds` of the calibration is not a number of seconds from 0, or null",
        );
    }
}
