//! Timer schedules in the six fields of NCRONTAB: second, minute, hour, day, month, day of the
//! week.

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A timer schedule, in UTC.
#[derive(Debug, Clone)]
pub(super) struct Schedule(Box<Cron>);

impl Schedule {
    pub(super) fn parse(text: &str) -> Result<Self, CronError> {
        // In NCRONTAB a day must match both fields. Classic cron accepts either.
        let parser = CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Disallowed)
            .dom_and_dow(true)
            .build();
        Ok(Self(Box::new(parser.parse(text)?)))
    }

    /// The first occurrence after `time`. `None` for a schedule without one, such as the 30th of
    /// February.
    pub(super) fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.0
            .find_next_occurrence(&time.to_zoned(TimeZone::UTC), false)
            .ok()
            .map(|next| next.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: &str, after: &str, next: &str) {
        let schedule = Schedule::parse(schedule).unwrap();
        let found = schedule.next_after(after.parse().unwrap()).unwrap();
        assert_eq!(found, next.parse::<Timestamp>().unwrap());
    }

    #[test]
    fn the_first_field_is_seconds() {
        check(
            "*/5 * * * * *",
            "2026-03-01T00:00:01Z",
            "2026-03-01T00:00:05Z",
        );
        check(
            "30 0 12 * * *",
            "2026-03-01T12:00:30Z",
            "2026-03-02T12:00:30Z",
        );
    }

    #[test]
    fn a_day_has_to_match_both_fields() {
        // The first Monday that is a 1st.
        check(
            "0 0 0 1 * 1",
            "2026-03-01T00:00:00Z",
            "2026-06-01T00:00:00Z",
        );
    }

    #[test]
    fn refuses_anything_but_six_fields() {
        for text in ["", "x", "*/5 * * * *", "0 0 0 1 1 * 2026", "00:00:05"] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
