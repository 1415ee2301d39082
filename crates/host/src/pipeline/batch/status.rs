//! Checks the status of a reference: the evidence that Azure gives before a rotation counts as
//! verified.

use keyrelay_azure::{Progress, ReferenceStatus};
use keyrelay_model::{Reference, Versions};

use crate::pipeline::rotation::AwaitedReference;

/// The result of one status check of one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReferenceCheck {
    /// Resolved with the version, or with a newer one.
    Resolved,
    /// Not resolved yet. The text is the reason.
    Waiting(String),
    /// Azure reports that the reference does not work. The text is the reason, with the fix.
    Broken(String),
}

/// Checks references by their rows in Azure's response. The first that is not resolved is the result.
pub(super) fn check_references(
    awaited: &[AwaitedReference],
    rows: &[ReferenceStatus],
    versions: &Versions,
    vault_suffix: &str,
) -> ReferenceCheck {
    let checks = awaited.iter().map(|it| {
        let row = rows.iter().find(|row| row.setting == it.setting);
        check_reference(it, row, versions, vault_suffix)
    });
    let mut unresolved = checks.filter(|check| *check != ReferenceCheck::Resolved);
    unresolved.next().unwrap_or(ReferenceCheck::Resolved)
}

/// Checks one reference by its row in Azure's response.
fn check_reference(
    awaited: &AwaitedReference,
    row: Option<&ReferenceStatus>,
    versions: &Versions,
    vault_suffix: &str,
) -> ReferenceCheck {
    let name = &awaited.setting;
    let Some(row) = row else {
        let message = format!("Azure does not list the reference in `{name}` yet");
        return ReferenceCheck::Waiting(message);
    };
    let listed = Reference::parse(&row.reference, vault_suffix).ok();
    if listed.is_some_and(|listed| *listed.target() != awaited.target) {
        let message = format!("Azure still lists the former reference in `{name}`");
        return ReferenceCheck::Waiting(message);
    }
    let status = &row.status;
    let message = format!("the reference in `{name}` is {status}: {}", status.advice());
    match status.progress() {
        Progress::Resolved => {}
        Progress::InProgress => return ReferenceCheck::Waiting(message),
        Progress::Broken => return ReferenceCheck::Broken(message),
    }
    match (&awaited.version, &row.active_version) {
        (None, _) => ReferenceCheck::Resolved,
        (Some(wanted), Some(active)) if versions.is_at_least(active, wanted) => {
            ReferenceCheck::Resolved
        }
        (Some(_), Some(active)) => {
            ReferenceCheck::Waiting(format!("`{name}` still has version {active}"))
        }
        // Azure does not always name the active version. A pinned reference leaves it no choice.
        (Some(wanted), None) if awaited.target.version.as_ref() == Some(wanted) => {
            ReferenceCheck::Resolved
        }
        (Some(_), None) => {
            ReferenceCheck::Waiting(format!("Azure does not say which version `{name}` has"))
        }
    }
}

#[cfg(test)]
mod tests {
    use keyrelay_azure::Status;
    use keyrelay_model::{Event, ObjectKind, Occurrence, Target, VersionAttributes};

    use super::*;

    const OLD: &str = "0c7751761b5a4ca09f3deec5fba4af83";
    const NEW: &str = "ee059b2bb5bc48398a53b168c6cdcb10";
    const NEWEST: &str = "f00d";

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

    fn check(awaited: &Reference, row: Option<ReferenceStatus>) -> ReferenceCheck {
        let attributes = |created| VersionAttributes {
            enabled: true,
            created,
            not_before: None,
            expires: None,
        };
        let versions = [(OLD, 1), (NEW, 2), (NEWEST, 3)]
            .map(|(version, created)| (version.parse().unwrap(), attributes(created)));
        let target = awaited.target().clone();
        let awaited = AwaitedReference::new("SQL".parse().unwrap(), target, &event());
        let versions = versions.into_iter().collect();
        check_reference(&awaited, row.as_ref(), &versions, "vault.azure.net")
    }

    #[track_caller]
    fn assert_waiting(check: ReferenceCheck, why: &str) {
        assert!(
            matches!(&check, ReferenceCheck::Waiting(message) if message.contains(why)),
            "{check:?}"
        );
    }

    #[test]
    fn the_events_version_or_a_newer_one_is_resolved() {
        let latest = reference("sql", None);
        for active in [NEW, NEWEST] {
            let row = row(&latest, "Resolved", Some(active));
            assert_eq!(check(&latest, Some(row)), ReferenceCheck::Resolved);
        }
        let row = row(&latest, "Resolved", Some(OLD));
        assert_waiting(check(&latest, Some(row)), "still has version");
    }

    #[test]
    fn without_an_active_version_only_a_pinned_reference_is_evidence() {
        let (latest, pinned) = (reference("sql", None), reference("sql", Some(NEW)));
        assert_waiting(
            check(&latest, Some(row(&latest, "Resolved", None))),
            "does not say which version",
        );
        assert_eq!(
            check(&pinned, Some(row(&pinned, "Resolved", None))),
            ReferenceCheck::Resolved
        );
        assert_waiting(
            check(&pinned, Some(row(&pinned, "Resolved", Some(OLD)))),
            "still has version",
        );
    }

    #[test]
    fn a_row_of_the_former_reference_is_no_evidence() {
        let (old, new) = (reference("sql", Some(OLD)), reference("sql", Some(NEW)));
        assert_waiting(
            check(&new, Some(row(&old, "Resolved", Some(OLD)))),
            "the former reference",
        );
        assert_waiting(check(&new, None), "does not list");
    }

    #[test]
    fn another_secret_needs_no_version() {
        let other = reference("other", None);
        let row = row(&other, "Resolved", None);
        assert_eq!(check(&other, Some(row)), ReferenceCheck::Resolved);
    }

    #[test]
    fn a_broken_reference_comes_with_its_fix() {
        let pinned = reference("sql", Some(NEW));
        let status = |status| check(&pinned, Some(row(&pinned, status, None)));
        assert!(
            matches!(status("AccessToKeyVaultDenied"), ReferenceCheck::Broken(message) if message.contains("Key Vault Secrets User"))
        );
        assert_waiting(status("Initialized"), "Initialized");
        assert_waiting(status("SomethingNew"), "SomethingNew");
    }
}
