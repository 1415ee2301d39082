//! The clock of the store, on which all instances agree even if their own clocks are wrong.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

/// Differences up to this are none: a date of HTTP has whole seconds, and a response takes a while.
const TOLERANCE: Duration = Duration::from_secs(5);

/// A form of dates that HTTP responses have: that of RFC 9110, which is one of RFC 2822.
static DATES: DateTimeParser = DateTimeParser::new();

/// The difference between the store's clock and that of this machine, in milliseconds: positive if
/// the store is ahead. Zero until the first response.
#[derive(Debug, Default)]
pub(crate) struct StoreClock(AtomicI64);

impl StoreClock {
    /// Learns from the header `Date` of a response, which has just arrived.
    pub(crate) fn learn(&self, date: &str) {
        if let Ok(date) = DATES.parse_timestamp(date) {
            self.set(date, Timestamp::now());
        }
    }

    fn set(&self, store: Timestamp, here: Timestamp) {
        let ahead = store.duration_since(here);
        let is_same = ahead.unsigned_abs() <= TOLERANCE;
        let milliseconds = i64::try_from(ahead.as_millis()).unwrap_or_default();
        let ahead = if is_same { 0 } else { milliseconds };
        if (self.0.swap(ahead, Ordering::Relaxed) == 0) != is_same {
            let (seconds, side) = (
                ahead.unsigned_abs() / 1_000,
                if ahead > 0 { "behind" } else { "ahead of" },
            );
            tracing::warn!(
                "this machine's clock is {seconds} s {side} that of the store, which is used instead"
            );
        }
    }

    /// The time of the store's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.at(Timestamp::now())
    }

    fn at(&self, here: Timestamp) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.0.load(Ordering::Relaxed));
        here.checked_add(ahead).unwrap_or(here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_is_corrected_and_a_small_difference_is_none() {
        let clock = StoreClock::default();
        let here: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        for (seconds, expected) in [(600, 600), (-600, -600), (3, 0), (-5, 0), (6, 6)] {
            clock.set(here + SignedDuration::from_secs(seconds), here);
            let ahead = clock.at(here).duration_since(here);
            assert_eq!(ahead.as_secs(), expected);
        }
    }

    #[test]
    fn learns_from_the_dates_of_http_and_ignores_others() {
        let clock = StoreClock::default();
        clock.learn("Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(clock.now().to_string().starts_with("1994-11-06T08:49:3"));
        clock.learn("yesterday");
        assert!(clock.now().to_string().starts_with("1994-"));
    }
}
