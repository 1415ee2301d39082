//! Reports that a secret expires, and changes nothing.

use keyrelay_policy::{App, Decision, Event, ObjectKind, Occurrence, Policy};

/// The `announce` policy.
#[derive(Debug)]
pub struct Announce;

impl Policy for Announce {
    const OCCURRENCES: &'static [Occurrence] = &[
        Occurrence::NearExpiry,
        Occurrence::Expired,
        Occurrence::ExpiryReminder,
    ];

    fn decide(event: Event, app: App) -> Result<Decision, String> {
        if app.references_to(&event).next().is_none() {
            return Ok(app.skip_unreferenced(&event));
        }
        let kind = if event.kind == ObjectKind::Certificate {
            "certificate"
        } else {
            "secret"
        };
        Ok(Decision::notice(format!(
            "{kind} `{}` of vault `{}` {}",
            event.name,
            event.vault,
            end(&event)
        )))
    }
}

/// Describes the expiry of the version.
fn end(event: &Event) -> String {
    let is_over = event.occurrence == Occurrence::Expired || event.days_left() == Some(0);
    match (is_over, event.expires.map(date), event.days_left()) {
        (true, Some(date), _) => format!("expired on {date}"),
        (true, None, _) => "has expired".to_owned(),
        (false, Some(date), Some(1)) => format!("expires within a day, on {date}"),
        (false, Some(date), Some(days)) => format!("expires within {days} days, on {date}"),
        (false, ..) => "expires soon".to_owned(),
    }
}

/// Formats the UTC day of a time in seconds since 1970: `2026-03-01`.
///
/// This is the algorithm of Howard Hinnant's `civil_from_days`. Years begin in March, so that the
/// leap day is the last of its year. Eras have 400 years, and all have the same number of days.
fn date(seconds: u64) -> String {
    const DAYS_OF_ERA: u64 = 146_097;
    // From the first of March of the year 0 to the first of January of 1970.
    const DAYS_BEFORE_1970: u64 = 719_468;
    let days = seconds / (24 * 60 * 60) + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Counted from March, every five months have 153 days.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

keyrelay_policy::export!(Announce);

#[cfg(test)]
mod tests {
    use super::*;
    use keyrelay_policy::{Reference, Value};

    const HOST: &str = "v.vault.azure.net";
    const DAY: u64 = 24 * 60 * 60;
    /// 2026-03-01T12:00:00Z
    const NOW: u64 = 1_772_366_400;

    fn event(occurrence: Occurrence, expires: Option<u64>) -> Event {
        Event {
            occurrence,
            time: NOW,
            expires,
            ..Event::new_version(HOST, "sql", "2")
        }
    }

    fn app() -> App {
        App::new("orders").with("SQL", Reference::to(HOST, "sql"))
    }

    #[track_caller]
    fn check(occurrence: Occurrence, expires: Option<u64>, end: &str) {
        let notice = Decision::notice(format!("secret `sql` of vault `v` {end}"));
        assert_eq!(
            Announce::decide(event(occurrence, expires), app()),
            Ok(notice)
        );
    }

    #[test]
    fn says_how_many_days_are_left_and_when_it_ends() {
        check(
            Occurrence::NearExpiry,
            Some(NOW + 30 * DAY),
            "expires within 30 days, on 2026-03-31",
        );
        check(
            Occurrence::ExpiryReminder,
            Some(NOW + 6 * DAY + 1),
            "expires within 7 days, on 2026-03-07",
        );
        check(
            Occurrence::ExpiryReminder,
            Some(NOW + DAY),
            "expires within a day, on 2026-03-02",
        );
    }

    #[test]
    fn says_when_it_ended() {
        check(
            Occurrence::Expired,
            Some(NOW - DAY),
            "expired on 2026-02-28",
        );
    }

    #[test]
    fn a_reminder_that_comes_too_late_says_so() {
        check(
            Occurrence::ExpiryReminder,
            Some(NOW),
            "expired on 2026-03-01",
        );
        check(
            Occurrence::NearExpiry,
            Some(NOW - 2 * DAY),
            "expired on 2026-02-27",
        );
    }

    #[test]
    fn without_a_date_it_says_what_it_knows() {
        check(Occurrence::NearExpiry, None, "expires soon");
        check(Occurrence::Expired, None, "has expired");
    }

    #[test]
    fn calls_a_certificate_by_its_name() {
        let event = Event {
            kind: ObjectKind::Certificate,
            ..event(Occurrence::Expired, None)
        };
        let notice = Decision::notice("certificate `sql` of vault `v` has expired");
        assert_eq!(Announce::decide(event, app()), Ok(notice));
    }

    #[test]
    fn skips_an_app_that_does_not_reference_the_secret() {
        let app = App::new("orders")
            .with("SQL", Value::Withheld)
            .with("OTHER", Reference::to(HOST, "other"));
        let skip = Decision::skip("no setting of `orders` references `sql`");
        assert_eq!(
            Announce::decide(event(Occurrence::NearExpiry, None), app),
            Ok(skip)
        );
    }

    #[test]
    fn does_not_ask_for_new_versions() {
        assert!(!Announce::OCCURRENCES.contains(&Occurrence::NewVersionCreated));
        assert_eq!(Announce::OCCURRENCES.len(), 3);
    }

    #[test]
    fn knows_the_calendar() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (59, "1970-03-01"),
            (364, "1970-12-31"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_512, "2026-02-28"),
            (21_243, "2028-02-29"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(date(days * DAY), expected);
            assert_eq!(date(days * DAY + DAY - 1), expected);
        }
    }
}
