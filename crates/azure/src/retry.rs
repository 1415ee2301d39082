//! The times and limits of retries.

use std::time::Duration;

use azure_core::time::parse_rfc7231;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The maximum number of attempts at a request. With the pauses below, they cover about ten seconds
/// of failures.
pub(crate) const MAX_ATTEMPTS: u32 = 8;

/// The least time before the deadline in which an attempt at a write begins: usual responses take less.
pub(crate) const LEAST_FOR_WRITE: Duration = Duration::from_millis(500);

/// The pause before the first retry, without jitter. Each further pause is twice as long.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause of the exponential back-off.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// The longest `Retry-After` that is honoured.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(5);

/// The pause of a throttle after a 429 without `Retry-After`. It doubles with each such response in
/// a row.
pub(crate) const FIRST_THROTTLED: Duration = Duration::from_millis(500);

/// The longest pause of a throttle after a 429 without `Retry-After`.
pub(crate) const LONGEST_THROTTLED: Duration = Duration::from_secs(8);

/// The pause before another round of reading, planning and writing settings, if Azure names none.
/// An operation that makes Azure reject a write takes seconds.
pub(crate) const REPLAN_PAUSE: Duration = Duration::from_secs(1);

/// The time limit of a request for a token. The Azure CLI needs a second or two.
pub(crate) const TOKEN_LIMIT: Duration = Duration::from_secs(10);

/// The time for which an authorization failure is attributed to the propagation of a role
/// assignment. Microsoft's documentation gives up to ten minutes.
pub const ROLE_PROPAGATION: Duration = Duration::from_mins(15);

/// The pause after an attempt; the first attempt is number 1.
///
/// `Retry-After` takes precedence. Otherwise the pause doubles with each attempt and is shortened
/// by up to half, so that requests that failed together are not retried together: `jitter` ranges
/// from 0 (half) to 1 (the full pause).
pub(crate) fn pause(attempt: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    retry_after.unwrap_or_else(|| {
        doubled
            .min(LONGEST_PAUSE)
            .mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    })
}

/// Reads `Retry-After`, which holds seconds or a date, and limits it to [`LONGEST_RETRY_AFTER`].
///
/// A date is compared with the response's own `Date`, so the local clock has no influence.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let value = text(RETRY_AFTER)?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
    }
    let (then, now) = (parse_rfc7231(value).ok()?, parse_rfc7231(text(DATE)?).ok()?);
    Some(
        Duration::try_from(then - now)
            .unwrap_or_default()
            .min(LONGEST_RETRY_AFTER),
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
    fn a_date_is_compared_with_the_date_of_the_response() {
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
    fn a_pause_is_at_most_five_minutes() {
        check(&[("retry-after", "4000000000")], Some(300));
        check(&[("retry-after", "18446744073709551615")], Some(300));
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        check(
            &[("retry-after", "Sun, 06 Nov 2094 08:50:07 GMT"), date],
            Some(300),
        );
    }

    #[test]
    fn other_values_are_ignored() {
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
    fn azures_pause_takes_precedence() {
        let minute = Duration::from_secs(60);
        assert_eq!(pause(1, Some(minute), 0.0), minute);
        assert_eq!(pause(8, Some(Duration::ZERO), 1.0), Duration::ZERO);
    }
}
