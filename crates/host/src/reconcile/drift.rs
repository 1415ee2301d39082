//! Drift: references that are behind their vault.

use keyrelay_azure::{Progress, ReferenceStatus};
use keyrelay_model::{
    Event, ObjectKind, Occurrence, SecretVersion, Target, VersionAttributes, Versions,
};

/// Whether a reference is behind the newest versions of its secret. If Azure does not name the
/// active version, or reports that the reference does not work, a repair would be a guess; an
/// operator has to fix the latter.
pub(super) fn is_behind(
    row: &ReferenceStatus,
    target: &Target,
    versions: &Versions,
    newest: &[(&SecretVersion, &VersionAttributes)],
) -> bool {
    let is_newest = |version: &SecretVersion| newest.iter().any(|(newest, _)| *newest == version);
    let is_older = |version: &SecretVersion| {
        let created = versions.get(version).map(|attributes| attributes.created);
        let latest = newest.first().map(|(_, attributes)| attributes.created);
        // A version that is not in the list any more is older than all that are.
        created.is_none_or(|created| Some(created) < latest)
    };
    match (&target.version, &row.active_version) {
        (Some(pinned), _) => !is_newest(pinned) && is_older(pinned),
        (None, Some(active)) => {
            row.status.progress() == Progress::Resolved && !is_newest(active) && is_older(active)
        }
        (None, None) => row.status.progress() == Progress::InProgress,
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
        not_before: attributes.not_before,
        expires: attributes.expires,
    }
}
