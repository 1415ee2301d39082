//! Drift: references that are behind their vault.

use keyrelay_azure::{Progress, ReferenceStatus};
use keyrelay_model::{
    Event, ObjectKind, Occurrence, SecretVersion, Target, VersionAttributes, Versions,
};

/// Longest time for which Azure keeps a value by itself, in seconds: within it, it resolves
/// references without a version again.
const DAILY: u64 = 24 * 60 * 60;

/// Age of a version, in seconds, from which a list shows all versions of the same second: a list may be
/// some minutes old, and the vault has another clock.
const ALL_LISTED: u64 = 5 * 60;

/// The state of a reference, compared with the newest versions of its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drift {
    /// It has the newest version, or will have it without a repair.
    None,
    /// It is behind.
    Behind,
    /// Azure does not say. It is behind unless keyrelay has refreshed it since the newest version
    /// exists.
    UnlessRefreshed,
}

/// Compares a reference with the newest versions of its secret, `now` in seconds since 1970. If
/// Azure names an older version and reports that the reference does not work, an operator has to
/// fix that.
pub(super) fn drift_of(
    row: &ReferenceStatus,
    target: &Target,
    versions: &Versions,
    newest: &[(&SecretVersion, &VersionAttributes)],
    now: u64,
) -> Drift {
    let is_newest = |version: &SecretVersion| newest.iter().any(|(newest, _)| *newest == version);
    let is_older = |version: &SecretVersion| {
        let created = versions.get(version).map(|attributes| attributes.created);
        let latest = newest.first().map(|(_, attributes)| attributes.created);
        // A version that is not in the list any more is older than all that are.
        created.is_none_or(|created| Some(created) < latest)
    };
    let is_behind = match (&target.version, &row.active_version) {
        (Some(pinned), _) => !is_newest(pinned) && is_older(pinned),
        (None, Some(active)) => {
            row.status.progress() == Progress::Resolved && !is_newest(active) && is_older(active)
        }
        (None, None) => {
            let is_recent = |attributes: &VersionAttributes| {
                valid_since(attributes).saturating_add(DAILY) > now
            };
            return match newest.iter().any(|(_, attributes)| is_recent(attributes)) {
                true => Drift::UnlessRefreshed,
                false => Drift::None,
            };
        }
    };
    match is_behind {
        true => Drift::Behind,
        false => Drift::None,
    }
}

/// The time from which a version may be read, in seconds since 1970.
pub(super) fn valid_since(attributes: &VersionAttributes) -> u64 {
    attributes
        .created
        .max(attributes.not_before.unwrap_or_default())
}

/// Whether the newest version is the only one of its second, and stays that, `now` in seconds since
/// 1970.
pub(super) fn is_only(newest: &[(&SecretVersion, &VersionAttributes)], now: u64) -> bool {
    match newest {
        [(_, attributes)] => attributes.created.saturating_add(ALL_LISTED) < now,
        _ => false,
    }
}

/// The event that an app must have missed.
///
/// Its time is the second in which the version was created. Of several versions of one second, the
/// vault does not tell which is the newest: then an event of another one comes after this.
pub(super) fn missed_event(
    target: &Target,
    version: &SecretVersion,
    attributes: &VersionAttributes,
    is_only: bool,
) -> Event {
    Event {
        id: format!("missed-{version}"),
        vault_host: target.vault_host.clone(),
        kind: ObjectKind::Secret,
        name: target.secret.clone(),
        occurrence: Occurrence::NewVersionCreated,
        version: Some(version.clone()),
        time: attributes.created,
        nanoseconds: if is_only { 999_999_999 } else { 0 },
        is_time_of_arrival: false,
        not_before: attributes.not_before,
        expires: attributes.expires,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_young_version_may_get_a_neighbour_in_its_second() {
        let (one, other) = ("0".repeat(32), "1".repeat(32));
        let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
        let attributes = |created| VersionAttributes {
            enabled: true,
            created,
            not_before: None,
            expires: None,
        };
        let created = attributes(1_000);
        assert!(!is_only(&[(&one, &created)], 1_000));
        assert!(is_only(&[(&one, &created)], 1_000 + ALL_LISTED + 1));
        assert!(!is_only(&[(&one, &created), (&other, &created)], 9_000));
        assert!(!is_only(&[(&one, &attributes(u64::MAX))], 9_000));
    }
}
