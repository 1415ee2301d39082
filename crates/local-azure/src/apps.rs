//! The apps of the world and the resolution of their references.

mod app;
mod connection_string;
pub(crate) mod news;
mod reference;
mod reference_kind;
mod reference_row;
mod resolution;
pub(crate) mod resolve_status;
mod sticky_names;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub(crate) use app::{LocalApp, LocalSettings, ProcessState, twin};
pub(crate) use connection_string::{ConnectionString, ConnectionStrings};
pub use reference_kind::ReferenceKind;
pub use reference_row::ReferenceRow;
pub(crate) use resolution::Resolver;
pub use resolve_status::ResolveStatus;
pub(crate) use sticky_names::StickyNames;

use news::News;

use crate::identity::ManagedIdentity;
use crate::profile::Profile;
use crate::tasks::Tasks;
use crate::vaults::NewSecrets;
use crate::world::World;

/// The behaviour of the apps that takes time.
#[derive(Debug, Clone)]
pub(crate) struct AppsClock {
    pub(crate) profile: Profile,
    /// The delay between a write of settings and the resolution of their references.
    pub(crate) resolve_after: Duration,
}

/// All apps of the world.
#[derive(Debug)]
pub(crate) struct Apps {
    apps: Vec<Arc<LocalApp>>,
    resolver: Arc<Resolver>,
    /// The delay between a write of settings and the resolution of their references.
    resolve_after: Duration,
    profile: Profile,
    tasks: Tasks,
    news: Option<News>,
}

impl Apps {
    pub(crate) fn new(
        world: &World,
        resolver: Resolver,
        clock: AppsClock,
        tasks: Tasks,
        news: Option<News>,
        now: Timestamp,
    ) -> Self {
        let AppsClock {
            profile,
            resolve_after,
        } = clock;
        Self {
            apps: world
                .apps()
                .map(|app| Arc::new(LocalApp::new(world, app, &profile, now)))
                .collect(),
            resolver: Arc::new(resolver),
            resolve_after,
            profile,
            tasks,
            news,
        }
    }

    /// An app by its Resource Manager id, or by its short name.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<LocalApp>> {
        self.iter().find(|app| {
            app.id.eq_ignore_ascii_case(name) || app.short_name.eq_ignore_ascii_case(name)
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<LocalApp>> {
        self.apps.iter()
    }

    /// The identities of all apps that have one.
    pub(crate) fn identities(&self) -> impl Iterator<Item = &ManagedIdentity> {
        self.iter().filter_map(|app| app.identity.as_ref())
    }

    /// Changes an app's settings and schedules the resolution of its references.
    pub(crate) fn write(&self, app: &Arc<LocalApp>, change: impl FnOnce(&mut LocalSettings)) {
        app.edit(Timestamp::now(), change);
        self.report(app, "appsettings");
        self.resolve_after(self.resolve_after, app, NewSecrets::default());
    }

    /// Changes an app's connection strings and schedules the resolution of its references.
    pub(crate) fn write_connection_strings(
        &self,
        app: &Arc<LocalApp>,
        change: impl FnOnce(&mut ConnectionStrings),
    ) {
        app.edit_connection_strings(Timestamp::now(), change);
        self.report(app, "connectionstrings");
        self.resolve_after(self.resolve_after, app, NewSecrets::default());
    }

    /// Changes an app's site configuration and schedules the resolution of its references.
    pub(crate) fn write_site_config(&self, app: &Arc<LocalApp>, properties: Map<String, Value>) {
        app.extend_site_config(Timestamp::now(), properties);
        self.report(app, "web");
        self.resolve_after(self.resolve_after, app, NewSecrets::default());
    }

    /// Reports the write of a part of an app's configuration to whom is subscribed to it.
    fn report(&self, app: &LocalApp, part: &str) {
        if let Some(news) = &self.news {
            news.publish(app, part, Timestamp::now());
        }
    }

    /// Restarts an app and schedules the resolution of its references. A stopped app stays stopped.
    pub(crate) fn restart(&self, app: &Arc<LocalApp>) {
        app.restart();
        self.resolve_after(self.resolve_after, app, NewSecrets::default());
    }

    /// Starts an app and schedules the resolution of its references.
    pub(crate) fn start(&self, app: &Arc<LocalApp>) {
        app.set_stopped(false);
        self.resolve_after(self.resolve_after, app, NewSecrets::default());
    }

    /// Stops an app.
    pub(crate) fn stop(&self, app: &LocalApp) {
        app.set_stopped(true);
    }

    /// Swaps two slots of a site, with the sticky names of its production slot, and schedules the
    /// resolution of the references of both.
    pub(crate) fn swap(&self, one: &Arc<LocalApp>, other: &Arc<LocalApp>, sticky: &StickyNames) {
        app::swap(one, other, sticky, Timestamp::now());
        for app in [one, other] {
            self.resolve_after(self.resolve_after, app, NewSecrets::default());
        }
    }

    /// Resolves an app's references.
    pub(crate) fn resolve(&self, app: &LocalApp) {
        app.resolve(&self.resolver, Timestamp::now(), &NewSecrets::default());
    }

    /// Schedules the resolution of an app's references that a refresh leads to. References to new
    /// secrets are not resolved.
    pub(crate) fn refresh(&self, app: &Arc<LocalApp>) {
        let window = self.profile.ignores_refresh_within;
        let ignored = self.resolver.vaults.new_within(window, Timestamp::now());
        self.resolve_after(self.profile.refresh_takes, app, ignored);
    }

    /// Resolves an app's references after a delay, except those to `ignored` secrets. A delay of
    /// zero resolves them before the call returns.
    fn resolve_after(&self, delay: Duration, app: &Arc<LocalApp>, ignored: NewSecrets) {
        if delay.is_zero() {
            return app.resolve(&self.resolver, Timestamp::now(), &ignored);
        }
        let (resolver, app) = (Arc::clone(&self.resolver), Arc::clone(app));
        self.tasks.spawn(async move {
            tokio::time::sleep(delay).await;
            app.resolve(&resolver, Timestamp::now(), &ignored);
        });
    }
}
