//! The versions of one secret and their order. An app is never moved to an older version.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::names::SecretVersion;

/// The attributes of one version in the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionAttributes {
    /// Whether the version may be read.
    pub enabled: bool,
    /// The time of creation, in seconds since 1970. It does not order versions that were created
    /// within one second.
    pub created: u64,
    /// The time from which it is valid, in seconds since 1970.
    pub not_before: Option<u64>,
    /// The time at which it expires, in seconds since 1970.
    pub expires: Option<u64>,
}

impl VersionAttributes {
    fn is_usable(&self, now: u64) -> bool {
        self.enabled && self.not_before.is_none_or(|not_before| not_before <= now)
    }
}

/// The known versions of a secret. Empty if the identity may not list them; then only equal
/// versions can be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions(BTreeMap<SecretVersion, VersionAttributes>);

/// A version and the time of its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced<'a> {
    /// The version.
    pub version: &'a SecretVersion,
    /// The time of the event: seconds since 1970, and the nanoseconds after them.
    pub moment: (u64, u32),
}

/// The state of a version among the others of its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The version is the newest usable one, as far as is known.
    Current,
    /// A newer version is usable.
    Superseded {
        /// The newest usable version.
        by: SecretVersion,
    },
    /// The version is disabled.
    Disabled,
    /// The version is not valid yet.
    NotYet {
        /// The time from which it is valid, in seconds since 1970.
        not_before: u64,
    },
}

/// The relation of a version to another one of its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It is the same version, or known to be newer.
    SameOrNewer,
    /// Both were created within one second: the vault does not tell which is newer.
    SameSecond,
    /// It is the newest one of the list, and the other one is not in the list: that was deleted, or
    /// purged.
    NewestWithout,
    /// It is older, or nothing is known.
    Other,
}

impl Versions {
    /// Whether no version is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The state of a version at the time `now`, in seconds since 1970.
    pub fn standing(&self, version: &SecretVersion, now: u64) -> Standing {
        let Some(own) = self.0.get(version) else {
            return Standing::Current;
        };
        if !own.enabled {
            return Standing::Disabled;
        }
        let usable = self
            .0
            .iter()
            .filter(|(_, attributes)| attributes.is_usable(now));
        let newest = usable.max_by_key(|(_, attributes)| attributes.created);
        match (newest, own.not_before) {
            (Some((by, newest)), _) if newest.created > own.created => {
                Standing::Superseded { by: by.clone() }
            }
            (_, Some(not_before)) if not_before > now => Standing::NotYet { not_before },
            _ => Standing::Current,
        }
    }

    /// Whether `later` was created after `earlier`. The vault's creation times decide, which are
    /// whole seconds. If they are equal or unknown, the times of the events decide.
    pub fn comes_after(&self, later: &Announced<'_>, earlier: &Announced<'_>) -> bool {
        let created = |announced: &Announced<'_>| Some(self.0.get(announced.version)?.created);
        let by_creation = match (created(later), created(earlier)) {
            (Some(later), Some(earlier)) => later.cmp(&earlier),
            _ => Ordering::Equal,
        };
        by_creation.then(later.moment.cmp(&earlier.moment)).is_gt()
    }

    /// The newest versions that are usable at the time `now`. There are several if they were
    /// created within one second.
    pub fn newest(&self, now: u64) -> Vec<(&SecretVersion, &VersionAttributes)> {
        let usable = || {
            self.0
                .iter()
                .filter(|(_, attributes)| attributes.is_usable(now))
        };
        let latest = usable().map(|(_, attributes)| attributes.created).max();
        usable()
            .filter(|(_, attributes)| Some(attributes.created) == latest)
            .collect()
    }

    /// The attributes of a version.
    pub fn get(&self, version: &SecretVersion) -> Option<&VersionAttributes> {
        self.0.get(version)
    }

    /// Whether `version` is `wanted` or known to be newer.
    pub fn is_at_least(&self, version: &SecretVersion, wanted: &SecretVersion) -> bool {
        self.relation(version, wanted, 0) == Relation::SameOrNewer
    }

    /// The relation of `version` to `wanted` at the time `now`, in seconds since 1970.
    pub fn relation(&self, version: &SecretVersion, wanted: &SecretVersion, now: u64) -> Relation {
        if version == wanted {
            return Relation::SameOrNewer;
        }
        match (self.0.get(version), self.0.get(wanted)) {
            (Some(own), Some(other)) if own.created > other.created => Relation::SameOrNewer,
            (Some(own), Some(other)) if own.created == other.created => Relation::SameSecond,
            (Some(_), None) if self.newest(now).iter().any(|(it, _)| *it == version) => {
                Relation::NewestWithout
            }
            _ => Relation::Other,
        }
    }

    /// The newest usable version, if the list has it and not `version`, and if it was created after
    /// the time `announced` of the event of `version`: then that was deleted, and is not newer than
    /// the list.
    pub fn newest_without(
        &self,
        version: &SecretVersion,
        announced: u64,
        now: u64,
    ) -> Option<&SecretVersion> {
        let newest = self.newest(now);
        let (newest, attributes) = newest.first()?;
        let is_deleted = !self.0.contains_key(version) && attributes.created > announced;
        is_deleted.then_some(*newest)
    }
}

impl FromIterator<(SecretVersion, VersionAttributes)> for Versions {
    fn from_iter<I: IntoIterator<Item = (SecretVersion, VersionAttributes)>>(versions: I) -> Self {
        Self(versions.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000;

    fn version(text: &str) -> SecretVersion {
        text.parse().unwrap()
    }

    /// Versions `a`, `b`, ... by their times, as `(created, enabled, not before)`.
    fn versions(list: &[(u64, bool, Option<u64>)]) -> Versions {
        let names = ["a", "b", "c"].map(version);
        let attributes = |&(created, enabled, not_before)| VersionAttributes {
            enabled,
            created,
            not_before,
            expires: None,
        };
        names.into_iter().zip(list.iter().map(attributes)).collect()
    }

    #[test]
    fn the_newest_usable_version_is_current() {
        let all = versions(&[(1, true, None), (2, true, None), (3, false, None)]);
        assert_eq!(
            all.standing(&version("a"), NOW),
            Standing::Superseded { by: version("b") }
        );
        assert_eq!(all.standing(&version("b"), NOW), Standing::Current);
        assert_eq!(all.standing(&version("c"), NOW), Standing::Disabled);
    }

    #[test]
    fn a_version_waits_for_its_time() {
        let all = versions(&[(1, true, None), (2, true, Some(NOW + 1))]);
        assert_eq!(
            all.standing(&version("b"), NOW),
            Standing::NotYet {
                not_before: NOW + 1
            }
        );
        assert_eq!(all.standing(&version("a"), NOW), Standing::Current);
        assert_eq!(all.standing(&version("b"), NOW + 1), Standing::Current);
    }

    #[test]
    fn an_unknown_version_is_current_and_not_newer() {
        let none = Versions::default();
        assert_eq!(none.standing(&version("a"), NOW), Standing::Current);
        assert!(none.is_at_least(&version("A"), &version("a")));
        assert!(!none.is_at_least(&version("b"), &version("a")));
    }

    #[test]
    fn versions_of_one_second_do_not_supersede_each_other() {
        let all = versions(&[(1, true, None), (1, true, None)]);
        assert_eq!(all.standing(&version("a"), NOW), Standing::Current);
        assert_eq!(all.standing(&version("b"), NOW), Standing::Current);
        assert!(!all.is_at_least(&version("b"), &version("a")));
    }

    #[test]
    fn creation_times_order_versions_and_event_times_those_of_one_second() {
        let all = versions(&[(1, true, None), (1, true, None), (2, true, None)]);
        let names = ["a", "b", "c", "unknown"].map(version);
        let at = |index: usize, second| Announced {
            version: &names[index],
            moment: (second, 0),
        };
        assert!(all.comes_after(&at(2, 0), &at(0, 9)));
        assert!(!all.comes_after(&at(0, 9), &at(2, 0)));
        assert!(all.comes_after(&at(1, 2), &at(0, 1)));
        assert!(!all.comes_after(&at(1, 1), &at(0, 1)));
        assert!(all.comes_after(&at(3, 2), &at(2, 1)));
    }

    #[test]
    fn the_newest_are_those_that_can_be_used() {
        let names = |versions: &Versions, now| -> Vec<String> {
            versions
                .newest(now)
                .into_iter()
                .map(|(version, _)| version.to_string())
                .collect()
        };
        assert_eq!(
            names(
                &versions(&[(1, true, None), (2, false, None), (1, true, None)]),
                NOW
            ),
            ["a", "c"]
        );
        assert_eq!(
            names(&versions(&[(1, true, None), (2, true, Some(NOW + 1))]), NOW),
            ["a"]
        );
        assert!(names(&Versions::default(), NOW).is_empty());
    }

    #[test]
    fn versions_that_cannot_be_ordered_are_told_apart() {
        let all = versions(&[(1, true, None), (1, true, None), (2, true, None)]);
        let of =
            |version_: &str, wanted: &str| all.relation(&version(version_), &version(wanted), NOW);
        assert_eq!(of("a", "b"), Relation::SameSecond);
        assert_eq!(of("c", "purged"), Relation::NewestWithout);
        assert_eq!(of("a", "purged"), Relation::Other);
        assert_eq!(of("a", "c"), Relation::Other);
        assert_eq!(of("purged", "a"), Relation::Other);
    }

    #[test]
    fn a_version_that_is_not_in_the_list_is_deleted_if_a_later_one_is() {
        let all = versions(&[(10, true, None), (20, true, None)]);
        let newest = |announced| all.newest_without(&version("purged"), announced, NOW);
        assert_eq!(newest(15), Some(&version("b")));
        // The list may be older than the event.
        assert_eq!(newest(20), None);
        assert_eq!(all.newest_without(&version("a"), 15, NOW), None);
    }

    #[test]
    fn a_listed_version_has_its_attributes() {
        let all = versions(&[(1, true, None), (2, false, Some(3))]);
        let b = all.get(&version("B")).unwrap();
        assert_eq!((b.created, b.enabled, b.not_before), (2, false, Some(3)));
        assert_eq!(all.get(&version("c")), None);
        assert!(!all.is_empty() && Versions::default().is_empty());
    }

    #[test]
    fn a_later_version_is_at_least_an_earlier_one() {
        let all = versions(&[(1, true, None), (2, true, None)]);
        assert!(all.is_at_least(&version("b"), &version("a")));
        assert!(!all.is_at_least(&version("a"), &version("b")));
    }
}
