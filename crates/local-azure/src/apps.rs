//! The apps, which are sites and slots of sites: their settings, and what their references resolved to.

mod reference;
mod resolution;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::hidden::Hidden;
use crate::identity::Identity;
use crate::world::{self, World};
use reference::Reference;
pub(crate) use reference::Target;
use resolution::Resolution;
pub use resolution::ResolveStatus;
pub(crate) use resolution::Resolver;

/// App settings by name, or an environment by variable.
pub(crate) type Settings = BTreeMap<String, Hidden>;

/// A reference in an app's settings and how it stands with it, as Resource Manager shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceRow {
    /// The setting's name.
    pub setting: String,
    /// The setting's value, which is the reference.
    pub reference: String,
    /// How the last resolving ended.
    pub status: ResolveStatus,
    /// What the status means here.
    pub details: String,
    /// The version that the app has. None: it has none.
    pub active_version: Option<String>,
    pub(crate) target: Option<Target>,
}

/// A site or a slot.
#[derive(Debug)]
pub(crate) struct App {
    /// The Resource Manager id.
    pub(crate) id: String,
    /// `site`, or `site/slot`.
    pub(crate) short_name: String,
    pub(crate) resource_group: String,
    pub(crate) slot: Option<String>,
    pub(crate) location: String,
    pub(crate) kind: String,
    pub(crate) identity: Option<Identity>,
    pub(crate) command: Vec<String>,
    /// What the app's process sees: the settings with the values of resolved references.
    pub(crate) environment: watch::Sender<Settings>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    settings: Settings,
    /// By setting. It lags behind the settings: a reference that was just written stands as the one before it did.
    resolutions: BTreeMap<String, Resolution>,
    modified: Timestamp,
}

impl App {
    fn new(world: &World, app: world::App<'_>, now: Timestamp) -> Self {
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
            identity: app.identity.then(|| Identity::new(&app.short_name())),
            command: app.command.clone(),
            environment: watch::Sender::default(),
            state: Mutex::new(State {
                settings: app.settings.clone(),
                resolutions: BTreeMap::new(),
                modified: now,
            }),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        self.lock().settings.clone()
    }

    /// When the settings were last written.
    pub(crate) fn modified(&self) -> Timestamp {
        self.lock().modified
    }

    /// Changes the settings. The references stand as before until they are resolved.
    pub(crate) fn edit(&self, now: Timestamp, change: impl FnOnce(&mut Settings)) {
        let mut state = self.lock();
        change(&mut state.settings);
        state.modified = now;
    }

    /// Resolves all references, and tells the app's process if that changed what it sees.
    pub(crate) fn resolve(&self, resolver: &Resolver<'_>) {
        let mut state = self.lock();
        let references = state
            .settings
            .iter()
            .filter(|(_, value)| Reference::is_meant_by(value.expose()));
        state.resolutions = references
            .map(|(name, value)| (name.clone(), resolver.resolve(self, name, value.expose())))
            .collect();
        let environment = state.environment();
        // Still under the lock, so that the process ends up with what the last resolving found.
        self.environment.send_if_modified(|current| {
            let changed = *current != environment;
            *current = environment;
            changed
        });
    }

    /// How it stands with every reference, sorted by setting.
    pub(crate) fn references(&self) -> Vec<ReferenceRow> {
        let state = self.lock();
        let references = state
            .settings
            .iter()
            .filter(|(_, value)| Reference::is_meant_by(value.expose()));
        let row = |(name, value): (&String, &Hidden)| {
            let resolution = state.resolutions.get(name).cloned().unwrap_or_default();
            ReferenceRow {
                setting: name.clone(),
                reference: value.expose().to_owned(),
                status: resolution.status,
                details: resolution.details,
                active_version: resolution.version,
                target: Reference::parse(value.expose())
                    .map(|reference| reference.target)
                    .ok(),
            }
        };
        references.map(row).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An unresolved reference reaches the app's code as it is written.
    fn environment(&self) -> Settings {
        let seen = |(name, value): (&String, &Hidden)| {
            let resolved = self
                .resolutions
                .get(name)
                .and_then(|resolution| resolution.value.as_ref());
            (name.clone(), resolved.unwrap_or(value).clone())
        };
        self.settings.iter().map(seen).collect()
    }
}

/// All apps of the world.
#[derive(Debug)]
pub(crate) struct Apps(Vec<Arc<App>>);

impl Apps {
    pub(crate) fn new(world: &World, now: Timestamp) -> Self {
        Self(
            world
                .apps()
                .map(|app| Arc::new(App::new(world, app, now)))
                .collect(),
        )
    }

    /// An app by its Resource Manager id, or by its short name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<App>> {
        self.iter().find(|app| {
            app.id.eq_ignore_ascii_case(name) || app.short_name.eq_ignore_ascii_case(name)
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<App>> {
        self.0.iter()
    }
}
