//! Follows the newest version of the secret. This is the default policy.

use keyrelay_policy::{App, Decision, Event, Policy, Reference};

/// The `follow` policy.
#[derive(Debug)]
pub struct Follow;

impl Policy for Follow {
    fn decide(event: Event, app: App) -> Result<Decision, String> {
        let references: Vec<(&str, &Reference)> = app.references_to(&event).collect();
        if references.is_empty() {
            return Ok(app.skip_unreferenced(&event));
        }
        let Some(version) = &event.version else {
            return Ok(Decision::Refresh);
        };
        let stale = references
            .iter()
            .filter(|(_, reference)| reference.version.is_some() && !event.is_pinned_by(reference));
        let moved: Vec<(&str, Reference)> = stale
            .map(|(name, reference)| (*name, reference.at(version)))
            .collect();
        Ok(if !moved.is_empty() {
            // A write of settings makes Azure resolve all references of the app again, including
            // those without a version.
            Decision::set(moved)
        } else if references
            .iter()
            .any(|(_, reference)| reference.version.is_none())
        {
            Decision::Refresh
        } else {
            Decision::skip(format!(
                "every reference to `{}` is pinned to this version already",
                event.name
            ))
        })
    }
}

keyrelay_policy::export!(Follow);

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
        assert_eq!(Follow::decide(event, app), Ok(decision));
    }

    #[test]
    fn refreshes_a_reference_without_a_version() {
        check(
            event(),
            App::new("orders").with("SQL", unpinned()),
            Decision::Refresh,
        );
    }

    #[test]
    fn moves_a_pinned_reference_to_the_new_version() {
        let app = App::new("orders")
            .with("OTHER", Reference::to(HOST, "other").at("1"))
            .with("SQL", unpinned().at("1"));
        check(event(), app, Decision::set([("SQL", unpinned().at("2"))]));
    }

    #[test]
    fn patches_only_the_pinned_ones_of_both_kinds() {
        let app = App::new("orders")
            .with("NEWEST", unpinned())
            .with("PINNED", unpinned().at("1"));
        check(
            event(),
            app,
            Decision::set([("PINNED", unpinned().at("2"))]),
        );
    }

    #[test]
    fn skips_an_app_that_does_not_reference_the_secret() {
        let app = App::new("orders")
            .with("SQL", Value::Withheld)
            .with("OTHER", Reference::to(HOST, "other"));
        check(
            event(),
            app,
            Decision::skip("no setting of `orders` references `sql`"),
        );
    }

    #[test]
    fn skips_an_app_that_has_the_version_already() {
        let app = App::new("orders").with("SQL", unpinned().at("2"));
        check(
            event(),
            app,
            Decision::skip("every reference to `sql` is pinned to this version already"),
        );
    }

    #[test]
    fn refreshes_when_only_the_pinned_reference_has_the_version_already() {
        let app = App::new("orders")
            .with("NEWEST", unpinned())
            .with("PINNED", unpinned().at("2"));
        check(event(), app, Decision::Refresh);
    }

    #[test]
    fn refreshes_when_the_event_has_no_version() {
        let app = App::new("orders").with("SQL", unpinned().at("1"));
        check(
            Event {
                version: None,
                ..event()
            },
            app,
            Decision::Refresh,
        );
    }

    #[test]
    fn asks_for_new_versions_only() {
        assert_eq!(Follow::OCCURRENCES, [Occurrence::NewVersionCreated]);
    }
}
