//! The proof: what Azure must report before a rotation counts as verified.

use std::time::Duration;

use keyrelay_azure::{Progress, ReferenceStatus};
use keyrelay_model::{Event, Occurrence, Reference, SecretVersion, SettingName, Target, Versions};

/// How long a status that will not heal must stay before it is believed: right after a write or a refresh Azure still
/// reports what it found before.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// The first and the longest pause between two looks. A refresh takes Azure about 15 s, and a thousand apps share the
/// rate of requests.
pub(crate) const PAUSES: (Duration, Duration) =
    (Duration::from_millis(150), Duration::from_secs(4));

/// One reference that must be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The setting that holds it.
    pub setting: SettingName,
    /// What it points at.
    pub target: Target,
    /// The version that must be active, or a newer one. None: whichever Azure takes.
    pub version: Option<SecretVersion>,
}

impl Awaited {
    /// What to wait for when `setting` holds a reference to `target`: the version it is pinned to, else the one that
    /// the event says is new, if it is of the event's secret.
    pub fn new(setting: SettingName, target: Target, event: &Event) -> Self {
        let is_new = target.is_of(event) && event.occurrence == Occurrence::NewVersionCreated;
        let of_event = || if is_new { event.version.clone() } else { None };
        let version = target.version.clone().or_else(of_event);
        Self {
            setting,
            target,
            version,
        }
    }
}

/// What one look at one reference says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Resolved with the version, or a newer one.
    Good,
    /// Not yet, and it may still become so.
    Waiting(String),
    /// Azure says that it will not work.
    Bad(String),
}

/// Judges one reference by its row in Azure's answer.
pub fn judge(
    awaited: &Awaited,
    row: Option<&ReferenceStatus>,
    versions: &Versions,
    vault_suffix: &str,
) -> Look {
    let name = &awaited.setting;
    let Some(row) = row else {
        return Look::Waiting(format!("Azure does not list the reference in `{name}` yet"));
    };
    let shown = Reference::parse(&row.reference, vault_suffix).ok();
    if shown.is_some_and(|shown| *shown.target() != awaited.target) {
        return Look::Waiting(format!(
            "Azure still lists the former reference in `{name}`"
        ));
    }
    let message = format!(
        "the reference in `{name}` is {}: {}",
        row.status,
        row.status.advice()
    );
    match row.status.progress() {
        Progress::Resolved => {}
        Progress::InProgress => return Look::Waiting(message),
        Progress::Broken => return Look::Bad(message),
    }
    match (&awaited.version, &row.active_version) {
        (None, _) => Look::Good,
        (Some(wanted), Some(active)) if versions.is_at_least(active, wanted) => Look::Good,
        (Some(_), Some(active)) => Look::Waiting(format!("`{name}` still has version {active}")),
        // Azure does not always say which version is active. A pinned reference leaves it no choice.
        (Some(wanted), None) if awaited.target.version.as_ref() == Some(wanted) => Look::Good,
        (Some(_), None) => Look::Waiting(format!("Azure does not say which version `{name}` has")),
    }
}

#[cfg(test)]
mod tests {
    use keyrelay_azure::Status;
    use keyrelay_model::{ObjectKind, VersionAttributes};

    use super::*;

    const OLD: &str = "0c7751761b5a4ca09f3deec5fba4af83";
    const NEW: &str = "ee059b2bb5bc48398a53b168c6cdcb10";

    fn event() -> Event {
        Event {
            id: "e-1".to_owned(),
            vault_host: "kv.vault.azure.net".parse().unwrap(),
            kind: ObjectKind::Secret,
            name: "sql".parse().unwrap(),
            occurrence: Occurrence::NewVersionCreated,
            version: Some(NEW.parse().unwrap()),
            time: 0,
            nanoseconds: 0,
            not_before: None,
            expires: None,
        }
    }

    fn reference(secret: &str, version: Option<&str>) -> Reference {
        let vault_host = "kv.vault.azure.net".parse().unwrap();
        let version = version.map(|version| version.parse().unwrap());
        Reference::to(Target {
            vault_host,
            secret: secret.parse().unwrap(),
            version,
        })
    }

    fn row(reference: &Reference, status: &str, active: Option<&str>) -> ReferenceStatus {
        ReferenceStatus {
            setting: "SQL".parse().unwrap(),
            reference: reference.to_string(),
            status: Status::from(status),
            vault_name: None,
            secret_name: None,
            secret_version: None,
            active_version: active.map(|version| version.parse().unwrap()),
            details: None,
            identity_type: None,
        }
    }

    fn look(awaited: &Reference, row: Option<ReferenceStatus>) -> Look {
        let attributes = |created| VersionAttributes {
            enabled: true,
            created,
            not_before: None,
            expires: None,
        };
        let newest = "f00d".parse().unwrap();
        let versions = [
            (OLD.parse().unwrap(), attributes(1)),
            (NEW.parse().unwrap(), attributes(2)),
            (newest, attributes(3)),
        ];
        let awaited = Awaited::new("SQL".parse().unwrap(), awaited.target().clone(), &event());
        judge(
            &awaited,
            row.as_ref(),
            &versions.into_iter().collect(),
            "vault.azure.net",
        )
    }

    #[track_caller]
    fn check_waiting(look: Look, why: &str) {
        assert!(
            matches!(&look, Look::Waiting(message) if message.contains(why)),
            "{look:?}"
        );
    }

    #[test]
    fn the_events_version_or_a_newer_one_is_good() {
        let newest = reference("sql", None);
        assert_eq!(
            look(&newest, Some(row(&newest, "Resolved", Some(NEW)))),
            Look::Good
        );
        assert_eq!(
            look(&newest, Some(row(&newest, "Resolved", Some("f00d")))),
            Look::Good
        );
        check_waiting(
            look(&newest, Some(row(&newest, "Resolved", Some(OLD)))),
            "still has version",
        );
    }

    #[test]
    fn without_an_active_version_only_a_pinned_reference_is_proof() {
        let (newest, pinned) = (reference("sql", None), reference("sql", Some(NEW)));
        check_waiting(
            look(&newest, Some(row(&newest, "Resolved", None))),
            "does not say which version",
        );
        assert_eq!(
            look(&pinned, Some(row(&pinned, "Resolved", None))),
            Look::Good
        );
        check_waiting(
            look(&pinned, Some(row(&pinned, "Resolved", Some(OLD)))),
            "still has version",
        );
    }

    #[test]
    fn a_row_of_the_former_reference_proves_nothing() {
        let (old, new) = (reference("sql", Some(OLD)), reference("sql", Some(NEW)));
        check_waiting(
            look(&new, Some(row(&old, "Resolved", Some(OLD)))),
            "the former reference",
        );
        check_waiting(look(&new, None), "does not list");
    }

    #[test]
    fn another_secret_is_good_once_it_is_resolved() {
        let other = reference("other", None);
        assert_eq!(
            look(&other, Some(row(&other, "Resolved", None))),
            Look::Good
        );
    }

    #[test]
    fn what_will_not_heal_says_what_to_do() {
        let pinned = reference("sql", Some(NEW));
        let look_at = |status| look(&pinned, Some(row(&pinned, status, None)));
        assert!(
            matches!(look_at("AccessToKeyVaultDenied"), Look::Bad(message) if message.contains("Key Vault Secrets User"))
        );
        check_waiting(look_at("Initialized"), "Initialized");
        check_waiting(look_at("SomethingNew"), "SomethingNew");
    }
}
