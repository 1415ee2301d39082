//! Pins every reference to the secret to the version of the event.

use keyrelay_policy::{App, Decision, Event, Policy, Reference};

struct Rule;

impl Policy for Rule {
    /// Decides about one app. The decision depends on the event and the app only.
    fn decide(event: Event, app: App) -> Result<Decision, String> {
        let Some(version) = &event.version else {
            return Err("the event has no version".to_owned());
        };
        // Other changes than references to the event's secret need a grant in keyrelay.toml.
        let pinned: Vec<(&str, Reference)> =
            app.references_to(&event).map(|(name, reference)| (name, reference.at(version))).collect();
        if pinned.is_empty() {
            return Ok(Decision::skip(format!("no setting references `{}`", event.name)));
        }
        Ok(Decision::set(pinned))
    }
}

keyrelay_policy::export!(Rule);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_a_reference() {
        let secret = Reference::to("contoso-kv.vault.azure.net", "sql-password");
        let event = Event::new_version("contoso-kv.vault.azure.net", "sql-password", "2");
        let app = App::new("orders").with("SQL", secret.clone());
        assert_eq!(Rule::decide(event, app), Ok(Decision::set([("SQL", secret.at("2"))])));
    }
}
