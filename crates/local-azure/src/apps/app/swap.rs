//! The swap of two slots of a site.

use std::collections::BTreeMap;
use std::mem;

use jiff::Timestamp;

use super::LocalApp;
use crate::apps::sticky_names::StickyNames;

/// Exchanges the settings, connection strings and site configuration of two apps. The sticky ones
/// stay. The references keep their status until the next resolution.
pub(in crate::apps) fn swap(
    one: &LocalApp,
    other: &LocalApp,
    sticky: &StickyNames,
    now: Timestamp,
) {
    // All swaps lock in the order of ids.
    let (first, second) = if one.id < other.id {
        (one, other)
    } else {
        (other, one)
    };
    let (mut first, mut second) = (first.lock(), second.lock());
    let (one, other) = (&mut *first, &mut *second);
    exchange(&mut one.settings, &mut other.settings, |name| {
        sticky.has_setting(name)
    });
    exchange(
        &mut one.connection_strings,
        &mut other.connection_strings,
        |name| sticky.has_connection_string(name),
    );
    mem::swap(&mut one.site_config, &mut other.site_config);
    (one.modified, other.modified) = (now, now);
}

/// Exchanges all entries except the sticky ones.
fn exchange<T>(
    one: &mut BTreeMap<String, T>,
    other: &mut BTreeMap<String, T>,
    is_sticky: impl Fn(&str) -> bool,
) {
    mem::swap(one, other);
    let of_other: BTreeMap<_, _> = one.extract_if(.., |name, _| is_sticky(name)).collect();
    let of_one = other.extract_if(.., |name, _| is_sticky(name));
    one.extend(of_one);
    other.extend(of_other);
}
