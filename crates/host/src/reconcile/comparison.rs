//! The state of one comparison.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use keyrelay_model::{AppId, Event, VaultHost, Versions};
use keyrelay_records::{KnownApp, KnownApps, RemainingSites};

/// A secret as `<vault host>/<name>` in lower case.
pub(super) type SecretKey = String;

/// The state of one comparison.
#[derive(Default)]
pub(super) struct Comparison {
    pub(super) versions: HashMap<SecretKey, Arc<Versions>>,
    /// Vaults whose versions could not be listed.
    pub(super) unreachable: HashSet<VaultHost>,
    pub(super) reminded: HashSet<SecretKey>,
    /// Pending work, by app and secret.
    pub(super) pending: HashSet<(String, SecretKey)>,
    /// The apps that earlier comparisons have found.
    pub(super) known: KnownApps,
    /// The time of the first comparison of this installation.
    pub(super) first: Timestamp,
    pub(super) compared: usize,
    /// The scopes whose sites could not be listed.
    pub(super) unlisted_scopes: Vec<RemainingSites>,
    /// The apps with references.
    pub(super) found: Vec<KnownApp>,
    /// The apps that Azure does not have any more.
    pub(super) gone: Vec<AppId>,
}

/// Apps that are behind, and the event that they seem to have missed.
pub(super) struct Missed {
    pub(super) event: Event,
    pub(super) apps: Vec<AppId>,
}
