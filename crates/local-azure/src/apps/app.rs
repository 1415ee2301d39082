//! An app, which is a site or a slot of a site.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::reference::{ParsedReference, SecretTarget};
use super::resolution::{Resolution, Resolver};
use super::resolve_status::ResolveStatus;
use crate::hidden::Hidden;
use crate::identity::ManagedIdentity;
use crate::world::{self, World};

/// App settings by name, or an environment by variable name.
pub(crate) type LocalSettings = BTreeMap<String, Hidden>;

/// A reference in an app's settings and its status, as reported by Resource Manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceRow {
    /// The setting's name.
    pub setting: String,
    /// The setting's value, which is the reference.
    pub reference: String,
    /// The status of the last resolution.
    pub status: ResolveStatus,
    /// A description of the status.
    pub details: String,
    /// The version that the app uses. `None` if the reference is unresolved.
    pub active_version: Option<String>,
    pub(crate) target: Option<SecretTarget>,
}

/// A site or a slot.
#[derive(Debug)]
pub(crate) struct LocalApp {
    /// The Resource Manager id.
    pub(crate) id: String,
    /// `site`, or `site/slot`.
    pub(crate) short_name: String,
    pub(crate) resource_group: String,
    pub(crate) slot: Option<String>,
    pub(crate) location: String,
    pub(crate) kind: String,
    pub(crate) identity: Option<ManagedIdentity>,
    pub(crate) command: Vec<String>,
    /// The environment of the app's process: the settings with the values of resolved references.
    pub(crate) environment: watch::Sender<LocalSettings>,
    state: Mutex<LocalAppState>,
}

#[derive(Debug)]
struct LocalAppState {
    settings: LocalSettings,
    /// Resolutions by setting. They lag behind the settings: a new reference keeps the status of
    /// the previous one.
    resolutions: BTreeMap<String, Resolution>,
    modified: Timestamp,
}

impl LocalApp {
    pub(super) fn new(world: &World, app: world::AppFields<'_>, now: Timestamp) -> Self {
        let world::Site {
            name: site,
            resource_group,
            location,
            kind,
            ..
        } = app.site;
        let mut id = format!(
            "/subscriptions/{}/resourceGroups/{resource_group}/providers/Microsoft.Web/sites/{site}",
            world.subscription
        );
        if let Some(slot) = app.slot {
            id = format!("{id}/slots/{slot}");
        }
        Self {
            id,
            short_name: app.short_name(),
            resource_group: resource_group.clone(),
            slot: app.slot.cloned(),
            location: location.clone(),
            kind: kind.clone(),
            identity: app
                .identity
                .then(|| ManagedIdentity::new(&app.short_name())),
            command: app.command.clone(),
            environment: watch::Sender::default(),
            state: Mutex::new(LocalAppState {
                settings: app.settings.clone(),
                resolutions: BTreeMap::new(),
                modified: now,
            }),
        }
    }

    pub(crate) fn settings(&self) -> LocalSettings {
        self.lock().settings.clone()
    }

    /// The time of the last write of the settings.
    pub(crate) fn modified(&self) -> Timestamp {
        self.lock().modified
    }

    /// Changes the settings. The references keep their status until the next resolution.
    pub(crate) fn edit(&self, now: Timestamp, change: impl FnOnce(&mut LocalSettings)) {
        let mut state = self.lock();
        change(&mut state.settings);
        state.modified = now;
    }

    /// Resolves all references and updates the environment of the app's process.
    pub(super) fn resolve(&self, resolver: &Resolver, now: Timestamp) {
        let mut state = self.lock();
        let references = state
            .settings
            .iter()
            .filter(|(_, value)| ParsedReference::is_reference(value.expose()));
        state.resolutions = references
            .map(|(name, value)| {
                let path = format!("{}/config/configreferences/appsettings/{name}", self.id);
                let identity = self.identity.as_ref();
                let resolution = resolver.resolve(identity, &path, value.expose(), now);
                (name.clone(), resolution)
            })
            .collect();
        let environment = state.environment();
        // Still under the lock, so the process gets the result of the last resolution.
        self.environment.send_if_modified(|current| {
            let changed = *current != environment;
            *current = environment;
            changed
        });
    }

    /// All references with their status, sorted by setting.
    pub(crate) fn references(&self) -> Vec<ReferenceRow> {
        let state = self.lock();
        let references = state
            .settings
            .iter()
            .filter(|(_, value)| ParsedReference::is_reference(value.expose()));
        let row = |(name, value): (&String, &Hidden)| {
            let resolution = state.resolutions.get(name).cloned().unwrap_or_default();
            ReferenceRow {
                setting: name.clone(),
                reference: value.expose().to_owned(),
                status: resolution.status,
                details: resolution.details,
                active_version: resolution.version,
                target: ParsedReference::parse(value.expose())
                    .map(|reference| reference.target)
                    .ok(),
            }
        };
        references.map(row).collect()
    }

    fn lock(&self) -> MutexGuard<'_, LocalAppState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalAppState {
    /// The environment of the app's process. An unresolved reference appears as its text.
    fn environment(&self) -> LocalSettings {
        let resolve = |(name, value): (&String, &Hidden)| {
            let resolved = self
                .resolutions
                .get(name)
                .and_then(|resolution| resolution.value.as_ref());
            (name.clone(), resolved.unwrap_or(value).clone())
        };
        self.settings.iter().map(resolve).collect()
    }
}
