//! When to try again.

use std::time::Duration;

use azure_core::time::parse_rfc7231;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// How many times a request is sent at most. With the pauses below that is about ten seconds of failures.
pub(crate) const MAX_ATTEMPTS: u32 = 8;

/// The pause before the first repetition, without jitter; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause that we choose ourselves.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// How long to wait after the `attempt`th attempt (the first is 1). What Azure asks for is taken as it is; otherwise it
/// is a time that doubles, shortened by up to half so that requests that failed together do not come back together:
/// `jitter` is from 0 (half) to 1 (all of it).
pub(crate) fn pause(attempt: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    retry_after.unwrap_or_else(|| {
        doubled
            .min(LONGEST_PAUSE)
            .mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    })
}

/// The longest pause that is kept because Azure asks for it: whatever it says, it is asked again after this.
const LONGEST_ASKED: Duration = Duration::from_mins(5);

/// How long the answer asks to wait: seconds, or a date. No longer than [`LONGEST_ASKED`]. A date is compared with the answer's own `Date`, so that it
/// does not matter how wrong a clock is.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds).min(LONGEST_ASKED));
    }
    let (then, now) = (parse_rfc7231(asked).ok()?, parse_rfc7231(text(DATE)?).ok()?);
    Some(
        Duration::try_from(then - now)
            .unwrap_or_default()
            .min(LONGEST_ASKED),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[track_caller]
    fn check(pairs: &[(&'static str, &'static str)], expected: Option<u64>) {
        assert_eq!(
            retry_after(&headers(pairs)),
            expected.map(Duration::from_secs)
        );
    }

    #[test]
    fn seconds_are_taken_as_they_are() {
        check(&[("retry-after", "17")], Some(17));
        check(&[("retry-after", " 0 ")], Some(0));
    }

    #[test]
    fn a_date_is_compared_with_the_date_of_the_answer() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        check(
            &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), date],
            Some(30),
        );
        check(
            &[("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT"), date],
            Some(0),
        );
    }

    #[test]
    fn nobody_is_waited_for_longer_than_five_minutes() {
        check(&[("retry-after", "4000000000")], Some(300));
        check(&[("retry-after", "18446744073709551615")], Some(300));
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        check(
            &[("retry-after", "Sun, 06 Nov 2094 08:50:07 GMT"), date],
            Some(300),
        );
    }

    #[test]
    fn what_is_neither_is_ignored() {
        check(&[], None);
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "-1")], None);
        check(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], None);
    }

    #[test]
    fn pauses_double_up_to_four_seconds() {
        let longest: Vec<u128> = (1..=8)
            .map(|attempt| pause(attempt, None, 1.0).as_millis())
            .collect();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 3200, 4000, 4000]);
        let shortest: Vec<u128> = (1..=3)
            .map(|attempt| pause(attempt, None, 0.0).as_millis())
            .collect();
        assert_eq!(shortest, [50, 100, 200]);
        assert_eq!(pause(u32::MAX, None, 1.0), LONGEST_PAUSE);
    }

    #[test]
    fn what_azure_asks_for_wins() {
        let minute = Duration::from_secs(60);
        assert_eq!(pause(1, Some(minute), 0.0), minute);
        assert_eq!(pause(8, Some(Duration::ZERO), 1.0), Duration::ZERO);
    }
}
