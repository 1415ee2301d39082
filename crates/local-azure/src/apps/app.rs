//! An app, which is a site or a slot of a site.

mod process_state;
mod swap;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::sync::watch;

pub(crate) use process_state::ProcessState;
pub(super) use swap::swap;

use super::connection_string::{ConnectionString, ConnectionStrings};
use super::reference::ParsedReference;
use super::reference_kind::ReferenceKind;
use super::reference_row::ReferenceRow;
use super::resolution::{Resolution, Resolver};
use super::sticky_names::StickyNames;
use crate::hidden::Hidden;
use crate::identity::ManagedIdentity;
use crate::profile::Profile;
use crate::sku::Sku;
use crate::vaults::NewSecrets;
use crate::world::{self, World};

/// App settings by name, or an environment by variable name.
pub(crate) type LocalSettings = BTreeMap<String, Hidden>;

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
    pub(crate) sku: Sku,
    pub(crate) identity: Option<ManagedIdentity>,
    pub(crate) command: Vec<String>,
    /// The state that the app's process follows.
    pub(crate) process: watch::Sender<ProcessState>,
    /// Whether the environment has every setting twice.
    doubles_settings: bool,
    state: Mutex<LocalAppState>,
}

#[derive(Debug)]
struct LocalAppState {
    settings: LocalSettings,
    connection_strings: ConnectionStrings,
    /// Resolutions by kind and name. They lag behind the settings: a new reference keeps the status
    /// of the previous one.
    resolutions: BTreeMap<(ReferenceKind, String), Resolution>,
    /// The part of the site configuration that was written.
    site_config: Map<String, Value>,
    /// The properties of App Service authentication that were set.
    authentication: Map<String, Value>,
    /// The names of settings that stay with their slot. Only the production slot has them.
    sticky_names: StickyNames,
    modified: Timestamp,
}

impl LocalApp {
    pub(super) fn new(
        world: &World,
        app: world::AppFields<'_>,
        profile: &Profile,
        now: Timestamp,
    ) -> Self {
        let world::Site {
            resource_group,
            location,
            kind,
            ..
        } = app.site;
        let custom = |(name, value): (&String, &Hidden)| {
            (name.clone(), ConnectionString::custom(value.clone()))
        };
        Self {
            id: app.id(world),
            short_name: app.short_name(),
            resource_group: resource_group.clone(),
            slot: app.slot.cloned(),
            location: location.clone(),
            kind: kind.clone(),
            sku: app.site.sku(),
            identity: app
                .identity
                .then(|| ManagedIdentity::new(&app.short_name(), &app.id(world))),
            command: app.command.clone(),
            process: watch::Sender::default(),
            doubles_settings: profile.doubles_settings,
            state: Mutex::new(LocalAppState {
                settings: app.settings.clone(),
                connection_strings: app.connection_strings.iter().map(custom).collect(),
                resolutions: BTreeMap::new(),
                site_config: Map::new(),
                authentication: Map::new(),
                sticky_names: StickyNames::default(),
                modified: now,
            }),
        }
    }

    pub(crate) fn settings(&self) -> LocalSettings {
        self.lock().settings.clone()
    }

    pub(crate) fn connection_strings(&self) -> ConnectionStrings {
        self.lock().connection_strings.clone()
    }

    /// The time of the last write of the settings or connection strings.
    pub(crate) fn modified(&self) -> Timestamp {
        self.lock().modified
    }

    /// Changes the settings. The references keep their status until the next resolution.
    pub(crate) fn edit(&self, now: Timestamp, change: impl FnOnce(&mut LocalSettings)) {
        let mut state = self.lock();
        change(&mut state.settings);
        state.modified = now;
    }

    /// Changes the connection strings. The references keep their status until the next resolution.
    pub(super) fn edit_connection_strings(
        &self,
        now: Timestamp,
        change: impl FnOnce(&mut ConnectionStrings),
    ) {
        let mut state = self.lock();
        change(&mut state.connection_strings);
        state.modified = now;
    }

    pub(crate) fn site_config(&self) -> Map<String, Value> {
        self.lock().site_config.clone()
    }

    /// Changes properties of the site configuration and keeps the others.
    pub(super) fn extend_site_config(&self, now: Timestamp, properties: Map<String, Value>) {
        let mut state = self.lock();
        state.site_config.extend(properties);
        state.modified = now;
    }

    pub(crate) fn authentication(&self) -> Map<String, Value> {
        self.lock().authentication.clone()
    }

    pub(crate) fn set_authentication(&self, properties: Map<String, Value>) {
        self.lock().authentication = properties;
    }

    pub(crate) fn sticky_names(&self) -> StickyNames {
        self.lock().sticky_names.clone()
    }

    pub(crate) fn set_sticky_names(&self, names: StickyNames) {
        self.lock().sticky_names = names;
    }

    /// Resolves all references except those to `ignored` secrets, and updates the environment of
    /// the app's process.
    pub(super) fn resolve(&self, resolver: &Resolver, now: Timestamp, ignored: &NewSecrets) {
        let mut state = self.lock();
        let mut before = std::mem::take(&mut state.resolutions);
        let mut after = BTreeMap::new();
        for (kind, name, value) in state.references() {
            let key = (kind, name.clone());
            let resolution = if resolver.names_one_of(ignored, value.expose()) {
                before.remove(&key)
            } else {
                let path = self.reference_path(kind, name);
                let identity = self.identity.as_ref();
                Some(resolver.resolve(identity, &path, value.expose(), now))
            };
            after.extend(resolution.map(|resolution| (key, resolution)));
        }
        state.resolutions = after;
        let environment = state.environment(self.doubles_settings);
        // Still under the lock, so the process gets the result of the last resolution.
        self.process.send_if_modified(|current| {
            let changed = current.environment != environment;
            current.environment = environment;
            changed
        });
    }

    /// Whether the app is stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.process.borrow().is_stopped
    }

    /// Starts or stops the app.
    pub(super) fn set_stopped(&self, is_stopped: bool) {
        self.process.send_if_modified(|current| {
            let changed = current.is_stopped != is_stopped;
            current.is_stopped = is_stopped;
            changed
        });
    }

    /// Restarts the app's process.
    pub(super) fn restart(&self) {
        self.process.send_modify(|current| current.restarts += 1);
    }

    /// All references with their status: first the settings, then the connection strings, each
    /// sorted by name.
    pub(crate) fn references(&self) -> Vec<ReferenceRow> {
        let state = self.lock();
        let row = |(kind, name, value): (ReferenceKind, &String, &Hidden)| {
            let resolution = state.resolution(kind, name).cloned().unwrap_or_default();
            ReferenceRow {
                kind,
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
        state.references().map(row).collect()
    }

    /// The path of a reference in Resource Manager, which is its id.
    pub(crate) fn reference_path(&self, kind: ReferenceKind, name: &str) -> String {
        let collection = kind.collection();
        format!("{}/config/configreferences/{collection}/{name}", self.id)
    }

    fn lock(&self) -> MutexGuard<'_, LocalAppState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LocalAppState {
    /// All values that are references, valid or not.
    fn references(&self) -> impl Iterator<Item = (ReferenceKind, &String, &Hidden)> {
        let settings = self
            .settings
            .iter()
            .map(|(name, value)| (ReferenceKind::AppSetting, name, value));
        let connection_strings = self
            .connection_strings
            .iter()
            .map(|(name, it)| (ReferenceKind::ConnectionString, name, &it.value));
        settings
            .chain(connection_strings)
            .filter(|(_, _, value)| ParsedReference::is_reference(value.expose()))
    }

    fn resolution(&self, kind: ReferenceKind, name: &str) -> Option<&Resolution> {
        self.resolutions.get(&(kind, name.to_owned()))
    }

    /// The environment of the app's process. An unresolved reference appears as its text.
    fn environment(&self, doubles_settings: bool) -> LocalSettings {
        let resolve = |kind, name: &str, value: &Hidden| {
            let resolved = self
                .resolution(kind, name)
                .and_then(|resolution| resolution.value.as_ref());
            resolved.unwrap_or(value).clone()
        };
        let mut environment = LocalSettings::new();
        for (name, it) in &self.connection_strings {
            let value = resolve(ReferenceKind::ConnectionString, name, &it.value);
            environment.insert(it.variable(name), value);
        }
        for (name, value) in &self.settings {
            let value = resolve(ReferenceKind::AppSetting, name, value);
            if doubles_settings {
                environment.insert(twin(name), value.clone());
            }
            environment.insert(name.clone(), value);
        }
        environment
    }
}

/// The second name of a setting in an environment.
pub(crate) fn twin(setting: &str) -> String {
    format!("APPSETTING_{setting}")
}
