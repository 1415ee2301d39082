//! The id of a run.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::fmt::strtime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id of a run: the time at which it began, and a random part. Ids sort by time.
///
/// `20261123T054539123Z-1f3a9c2d`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// The error of a text that is not the id of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a run: expected an id like `20261123T054539123Z-1f3a9c2d`")]
pub struct RunIdError(String);

/// A text after all ids.
pub(crate) const AFTER_ALL: &str = "~";

impl RunId {
    /// Makes an id for a run that begins at this time.
    pub fn at(time: Timestamp) -> Self {
        let own = Uuid::new_v4().simple().to_string();
        Self(format!("{}-{}", from(time), own.get(..8).unwrap_or(&own)))
    }

    /// Returns the time at which the run began, in whole milliseconds. None: there is no such time.
    pub fn began(&self) -> Option<Timestamp> {
        let part = |range| self.0.get(range).unwrap_or_default();
        let (day, time, fraction) = (self.day(), part(9..15), part(15..18));
        let (hour, rest) = time.split_at_checked(2)?;
        let (minute, second) = rest.split_at_checked(2)?;
        let text = format!("{day}T{hour}:{minute}:{second}.{fraction}Z");
        text.parse().ok()
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the day on which the run began: `2026-11-23`.
    pub fn day(&self) -> String {
        let part = |range| self.0.get(range).unwrap_or_default();
        format!("{}-{}-{}", part(0..4), part(4..6), part(6..8))
    }
}

/// The lower bound of the ids of runs that begin at this time or later.
pub fn from(time: Timestamp) -> String {
    let time = strtime::format("%Y%m%dT%H%M%S%3f", time)
        .unwrap_or_else(|_| "00000000T000000000".to_owned());
    format!("{time}Z")
}

/// The lower and the upper bound of the ids of runs that began on a day like `2026-11-23`.
pub(crate) fn of_day(day: &str) -> (String, String) {
    let day = day.replace('-', "");
    // `U` follows the `T` of the ids.
    (format!("{day}T"), format!("{day}U"))
}

/// The lower bound of the ids of the day of this one.
pub(crate) fn day_of(id: &RunId) -> &str {
    id.0.get(..9).unwrap_or_default()
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        let shape = "00000000T000000000Z-xxxxxxxx";
        let fits = |(c, wanted): (char, char)| match wanted {
            '0' => c.is_ascii_digit(),
            'x' => matches!(c, '0'..='9' | 'a'..='f'),
            other => c == other,
        };
        if text.len() == shape.len() && text.chars().zip(shape.chars()).all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(RunIdError(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for RunId {
    type Error = RunIdError;

    fn try_from(text: String) -> Result<Self, RunIdError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_name_says_when_the_run_began() {
        let id = RunId::at("2026-11-23T05:45:39.123456Z".parse().unwrap());
        assert!(id.as_str().starts_with("20261123T054539123Z-"), "{id}");
        assert_eq!(id.day(), "2026-11-23");
        let began: Timestamp = "2026-11-23T05:45:39.123Z".parse().unwrap();
        assert_eq!(id.began(), Some(began));
        assert_eq!(id.as_str().parse(), Ok(id));
    }

    #[test]
    fn bounds_enclose_the_ids_of_a_period() {
        let time: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        let id = RunId::at(time);
        let (begin, end) = of_day(&id.day());
        assert_eq!(day_of(&id), begin);
        assert!(begin.as_str() < id.as_str() && id.as_str() < end.as_str());
        assert!(from(time).as_str() < id.as_str() && id.as_str() < AFTER_ALL);
        let later = time + Duration::from_millis(1);
        assert!(id.as_str() < from(later).as_str());
    }

    #[test]
    fn other_texts_are_no_names() {
        for text in [
            "",
            "20261123T054539123Z",
            "../../x",
            "20261123T054539123Z-1F3A9C2D",
            "20261123T05453912éZ-1f3a9c",
        ] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
    }
}
