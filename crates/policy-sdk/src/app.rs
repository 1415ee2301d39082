//! Methods of [`App`], with the usual decisions.

use crate::bindings::keyrelay::policy::types::{App, Decision, Event, Reference, Setting, Value};

impl App {
    /// Creates an app without settings and parameters, for tests.
    pub fn new(name: &str) -> Self {
        Self {
            id: format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/{name}"),
            name: name.to_owned(),
            slot: None,
            settings: Vec::new(),
            parameters: Vec::new(),
        }
    }

    /// The same app with one more setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.settings.push(Setting {
            name: name.to_owned(),
            value: value.into(),
        });
        self
    }

    /// The value of a parameter of the rotation.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(parameter, _)| parameter == name)
            .map(|(_, value)| value.as_str())
    }

    /// The settings that reference the event's secret in any version, with their references.
    pub fn references_to<'a>(
        &'a self,
        event: &'a Event,
    ) -> impl Iterator<Item = (&'a str, &'a Reference)> {
        self.settings
            .iter()
            .filter_map(move |setting| match &setting.value {
                Value::Reference(reference) if event.is_about(reference) => {
                    Some((setting.name.as_str(), reference))
                }
                _ => None,
            })
    }

    /// Pins every reference to the event's secret to the event's version.
    pub fn pin(&self, event: &Event) -> Decision {
        match &event.version {
            Some(version) => self.change_references(event, |reference| reference.at(version)),
            None => Decision::notice(format!(
                "the event of `{}` names no version to pin to",
                event.name
            )),
        }
    }

    /// Removes the version from every reference to the event's secret.
    pub fn unpin(&self, event: &Event) -> Decision {
        self.change_references(event, Reference::unpinned)
    }

    /// Replaces every reference to the event's secret by another reference. Needs the other secret
    /// in `grant.secrets`.
    pub fn point_at(&self, event: &Event, other: &Reference) -> Decision {
        self.change_references(event, |_| other.clone())
    }

    /// The skip for an app without a reference to the event's secret.
    pub fn skip_unreferenced(&self, event: &Event) -> Decision {
        Decision::skip(format!(
            "no setting of `{}` references `{}`",
            self.name, event.name
        ))
    }

    fn change_references(
        &self,
        event: &Event,
        change: impl Fn(&Reference) -> Reference,
    ) -> Decision {
        let mut references = self.references_to(event).peekable();
        if references.peek().is_none() {
            return self.skip_unreferenced(event);
        }
        Decision::set(references.map(|(name, reference)| (name, change(reference))))
    }
}

impl From<Reference> for Value {
    fn from(reference: Reference) -> Self {
        Self::Reference(reference)
    }
}

impl From<&str> for Value {
    /// Plain text that the rotation reveals.
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "v.vault.azure.net";

    fn app() -> App {
        App::new("orders")
            .with("OTHER", Reference::to(HOST, "other"))
            .with("SQL", Reference::to(HOST, "sql"))
            .with("SQL_OLD", Reference::to(HOST, "sql").at("1"))
            .with("TEXT", "sql")
            .with("UNSEEN", Value::Withheld)
    }

    fn event() -> Event {
        Event::new_version(HOST, "sql", "2")
    }

    fn set(references: [(&str, Reference); 2]) -> Decision {
        Decision::set(references)
    }

    #[test]
    fn finds_the_settings_that_reference_the_secret() {
        let (app, event) = (app(), event());
        let names: Vec<&str> = app.references_to(&event).map(|(name, _)| name).collect();
        assert_eq!(names, ["SQL", "SQL_OLD"]);
    }

    #[test]
    fn pins_every_reference_to_the_secret() {
        let pinned = Reference::to(HOST, "sql").at("2");
        assert_eq!(
            app().pin(&event()),
            set([("SQL", pinned.clone()), ("SQL_OLD", pinned)])
        );
    }

    #[test]
    fn does_not_pin_to_nothing() {
        let decision = app().pin(&Event {
            version: None,
            ..event()
        });
        assert_eq!(
            decision,
            Decision::notice("the event of `sql` names no version to pin to")
        );
    }

    #[test]
    fn unpins_every_reference_to_the_secret() {
        let unpinned = Reference::to(HOST, "sql");
        assert_eq!(
            app().unpin(&event()),
            set([("SQL", unpinned.clone()), ("SQL_OLD", unpinned)])
        );
    }

    #[test]
    fn points_every_reference_at_another_secret() {
        let other = Reference::to(HOST, "sql-b");
        assert_eq!(
            app().point_at(&event(), &other),
            set([("SQL", other.clone()), ("SQL_OLD", other)])
        );
    }

    #[test]
    fn skips_an_app_that_does_not_reference_the_secret() {
        let skip = Decision::skip("no setting of `web` references `sql`");
        assert_eq!(App::new("web").pin(&event()), skip);
        assert_eq!(App::new("web").unpin(&event()), skip);
    }

    #[test]
    fn a_parameter_is_found_by_name() {
        let app = App {
            parameters: vec![("partner".to_owned(), "sql-b".to_owned())],
            ..App::new("web")
        };
        assert_eq!(app.parameter("partner"), Some("sql-b"));
        assert_eq!(app.parameter("Partner"), None);
    }
}
