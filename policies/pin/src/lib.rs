//! Pins every reference to the secret to the version of the event. The Logic App that keyrelay
//! replaces did the same.

use keyrelay_policy::{App, Decision, Event, Policy};

/// The `pin` policy.
#[derive(Debug)]
pub struct Pin;

impl Policy for Pin {
    fn decide(event: Event, app: App) -> Result<Decision, String> {
        Ok(app.pin(&event))
    }
}

keyrelay_policy::export!(Pin);

#[cfg(test)]
mod tests {
    use super::*;
    use keyrelay_policy::{Reference, Value};

    const HOST: &str = "v.vault.azure.net";

    #[track_caller]
    fn check(app: App, decision: Decision) {
        assert_eq!(
            Pin::decide(Event::new_version(HOST, "sql", "2"), app),
            Ok(decision)
        );
    }

    #[test]
    fn pins_references_with_another_version_and_without_one() {
        let app = App::new("orders")
            .with("NEW", Reference::to(HOST, "sql"))
            .with("OLD", Reference::to(HOST, "sql").at("1"))
            .with("OTHER", Reference::to(HOST, "other"));
        let pinned = Reference::to(HOST, "sql").at("2");
        check(
            app,
            Decision::set([("NEW", pinned.clone()), ("OLD", pinned)]),
        );
    }

    #[test]
    fn skips_an_app_that_does_not_reference_the_secret() {
        let app = App::new("orders").with("SQL", Value::Withheld);
        check(
            app,
            Decision::skip("no setting of `orders` references `sql`"),
        );
    }

    #[test]
    fn reports_an_event_without_a_version() {
        let event = Event {
            version: None,
            ..Event::new_version(HOST, "sql", "2")
        };
        let app = App::new("orders").with("SQL", Reference::to(HOST, "sql"));
        assert_eq!(
            Pin::decide(event, app),
            Ok(Decision::notice(
                "the event of `sql` names no version to pin to"
            ))
        );
    }
}
