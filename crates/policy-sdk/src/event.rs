//! Methods of [`Event`].

use crate::bindings::keyrelay::policy::types::{Event, ObjectKind, Occurrence, Reference};

impl Event {
    /// Creates an event about a new version of a secret, for tests.
    pub fn new_version(vault_host: &str, secret: &str, version: &str) -> Self {
        Self {
            id: "00000000-0000-0000-0000-000000000000".to_owned(),
            vault: vault_host.split('.').next().unwrap_or_default().to_owned(),
            vault_host: vault_host.to_owned(),
            kind: ObjectKind::Secret,
            name: secret.to_owned(),
            occurrence: Occurrence::NewVersionCreated,
            version: Some(version.to_owned()),
            time: 0,
            not_before: None,
            expires: None,
        }
    }

    /// Whether a reference is to the event's secret, in any version. A certificate is referenced as
    /// the secret of the same name; a key cannot be referenced. Names compare without case.
    pub fn is_about(&self, reference: &Reference) -> bool {
        self.kind != ObjectKind::Key
            && self.vault_host.eq_ignore_ascii_case(&reference.vault_host)
            && self.name.eq_ignore_ascii_case(&reference.secret)
    }

    /// The days from the event until the version expires, rounded up. `None` if the event has no
    /// expiry.
    pub fn days_left(&self) -> Option<u64> {
        Some(
            self.expires?
                .saturating_sub(self.time)
                .div_ceil(24 * 60 * 60),
        )
    }

    /// Whether a reference is pinned to the event's version.
    pub fn is_pinned_by(&self, reference: &Reference) -> bool {
        match (&self.version, &reference.version) {
            (Some(version), Some(pinned)) => {
                self.is_about(reference) && version.eq_ignore_ascii_case(pinned)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "v.vault.azure.net";

    fn check(event: Event, reference: Reference, is_about: bool) {
        assert_eq!(event.is_about(&reference), is_about);
    }

    #[test]
    fn a_secret_event_is_about_references_to_the_secret_in_any_version_and_case() {
        check(
            Event::new_version(HOST, "sql", "1"),
            Reference::to(HOST, "sql"),
            true,
        );
        check(
            Event::new_version(HOST, "sql", "1"),
            Reference::to("V.Vault.Azure.Net", "SQL").at("0"),
            true,
        );
    }

    #[test]
    fn another_secret_or_vault_is_not_meant() {
        check(
            Event::new_version(HOST, "sql", "1"),
            Reference::to(HOST, "sql-b"),
            false,
        );
        check(
            Event::new_version(HOST, "sql", "1"),
            Reference::to("w.vault.azure.net", "sql"),
            false,
        );
    }

    #[test]
    fn a_certificate_is_referenced_as_a_secret_and_a_key_is_not() {
        let of = |kind| Event {
            kind,
            ..Event::new_version(HOST, "tls", "1")
        };
        check(
            of(ObjectKind::Certificate),
            Reference::to(HOST, "tls"),
            true,
        );
        check(of(ObjectKind::Key), Reference::to(HOST, "tls"), false);
    }

    #[test]
    fn begun_days_count_until_the_version_expires() {
        let at = |time, expires| {
            Event {
                time,
                expires,
                ..Event::new_version(HOST, "sql", "1")
            }
            .days_left()
        };
        assert_eq!(at(0, None), None);
        assert_eq!(at(0, Some(7 * 86_400)), Some(7));
        assert_eq!(at(1, Some(7 * 86_400)), Some(7));
        assert_eq!(at(10, Some(5)), Some(0));
    }

    #[test]
    fn a_reference_may_be_pinned_to_the_version_of_the_event() {
        let event = Event::new_version(HOST, "sql", "abc");
        assert!(event.is_pinned_by(&Reference::to(HOST, "sql").at("ABC")));
        assert!(!event.is_pinned_by(&Reference::to(HOST, "sql").at("abd")));
        assert!(!event.is_pinned_by(&Reference::to(HOST, "sql")));
        let unversioned = Event {
            version: None,
            ..event
        };
        assert!(!unversioned.is_pinned_by(&Reference::to(HOST, "sql")));
    }
}
