//! Times since which something is listed.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};

/// Parses an age before `now` (`90m`, `2h`, `3d`), a day or a time in UTC. The error says that.
pub fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(time) = text.parse::<DateTime>() {
        return TimeZone::UTC
            .to_timestamp(time)
            .map_err(|error| error.to_string());
    }
    let span = text
        .parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    match span.ok().filter(|span| !span.is_negative()).map(|span| now.checked_sub(span)) {
        Some(time) => time.map_err(|error| error.to_string()),
        None => {
            Err("write an age (`90m`, `2h`, `3d`), a day (`2026-11-01`) or a time (`2026-11-01T12:00:00`, UTC)"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T12:00:00Z";

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(
            since(text, NOW.parse().unwrap()).unwrap().to_string(),
            expected
        );
    }

    #[test]
    fn since_when_is_an_age_a_day_or_a_time() {
        check("90m", "2026-11-23T10:30:00Z");
        check("2h", "2026-11-23T10:00:00Z");
        check("3d", "2026-11-20T12:00:00Z");
        check("1d 12h", "2026-11-22T00:00:00Z");
        check("2026-11-01", "2026-11-01T00:00:00Z");
        check("2026-11-01T12:00:00", "2026-11-01T12:00:00Z");
        check("2026-11-01T12:00:00+01:00", "2026-11-01T11:00:00Z");
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "yesterday",
            "2",
            "-2h",
            "2h ago",
            "1month",
            "9999999d",
            "2026-13-01",
        ] {
            assert!(since(text, NOW.parse().unwrap()).is_err(), "{text}");
        }
    }
}
