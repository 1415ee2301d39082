//! Removes the version from every reference to the secret, so that Azure follows the newest version
//! by itself.

use keyrelay_policy::{App, Decision, Event, Policy, Reference};

/// The `unpin` policy.
#[derive(Debug)]
pub struct Unpin;

impl Policy for Unpin {
    fn decide(event: Event, app: App) -> Result<Decision, String> {
        let references: Vec<(&str, &Reference)> = app.references_to(&event).collect();
        if references.is_empty() {
            return Ok(app.skip_unreferenced(&event));
        }
        let pinned = references
            .iter()
            .filter(|(_, reference)| reference.version.is_some());
        let freed: Vec<(&str, Reference)> = pinned
            .map(|(name, reference)| (*name, reference.unpinned()))
            .collect();
        // A write of settings makes Azure resolve all references of the app again, including those
        // without a version.
        Ok(if freed.is_empty() {
            Decision::Refresh
        } else {
            Decision::set(freed)
        })
    }
}

keyrelay_policy::export!(Unpin);

#[cfg(test)]
mod tests {
    use super::*;
    use keyrelay_policy::{Occurrence, Value};

    const HOST: &str = "v.vault.azure.net";

    fn event() -> Event {
        Event::new_version(HOST, "sql", "2")
    }

    fn unpinned() -> Reference {
        Reference::to(HOST, "sql")
    }

    #[track_caller]
    fn check(event: Event, app: App, decision: Decision) {
        assert_eq!(Unpin::decide(event, app), Ok(decision));
    }

    #[test]
    fn takes_the_version_out_of_pinned_references() {
        let app = App::new("orders")
            .with("OLD", unpinned().at("1"))
            .with("OTHER", Reference::to(HOST, "other").at("1"))
            .with("THIS", unpinned().at("2"));
        check(
            event(),
            app,
            Decision::set([("OLD", unpinned()), ("THIS", unpinned())]),
        );
    }

    #[test]
    fn patches_only_the_pinned_ones_of_both_kinds() {
        let app = App::new("orders")
            .with("NEWEST", unpinned())
            .with("PINNED", unpinned().at("1"));
        check(event(), app, Decision::set([("PINNED", unpinned())]));
    }

    #[test]
    fn refreshes_when_none_is_pinned() {
        check(
            event(),
            App::new("orders").with("SQL", unpinned()),
            Decision::Refresh,
        );
    }

    #[test]
    fn needs_no_version_in_the_event() {
        let app = App::new("orders").with("SQL", unpinned().at("1"));
        check(
            Event {
                version: None,
                ..event()
            },
            app,
            Decision::set([("SQL", unpinned())]),
        );
    }

    #[test]
    fn skips_an_app_that_does_not_reference_the_secret() {
        let app = App::new("orders")
            .with("SQL", Value::Withheld)
            .with("OTHER", Reference::to(HOST, "other").at("1"));
        check(
            event(),
            app,
            Decision::skip("no setting of `orders` references `sql`"),
        );
    }

    #[test]
    fn asks_for_new_versions_only() {
        assert_eq!(Unpin::OCCURRENCES, [Occurrence::NewVersionCreated]);
    }
}
