//! The apps of the world and the resolution of their references.

mod app;
mod reference;
mod resolution;
pub(crate) mod resolve_status;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use app::ReferenceRow;
pub(crate) use app::{LocalApp, LocalSettings};
pub(crate) use resolution::Resolver;
pub use resolve_status::ResolveStatus;

use crate::identity::ManagedIdentity;
use crate::tasks::Tasks;
use crate::world::World;

/// All apps of the world.
#[derive(Debug)]
pub(crate) struct Apps {
    apps: Vec<Arc<LocalApp>>,
    resolver: Arc<Resolver>,
    /// The delay between a write of settings and the resolution of their references.
    resolve_after: Duration,
    tasks: Tasks,
}

impl Apps {
    pub(crate) fn new(
        world: &World,
        resolver: Resolver,
        resolve_after: Duration,
        tasks: Tasks,
        now: Timestamp,
    ) -> Self {
        Self {
            apps: world
                .apps()
                .map(|app| Arc::new(LocalApp::new(world, app, now)))
                .collect(),
            resolver: Arc::new(resolver),
            resolve_after,
            tasks,
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
        self.resolve_after(self.resolve_after, app);
    }

    /// Resolves an app's references.
    pub(crate) fn resolve(&self, app: &LocalApp) {
        app.resolve(&self.resolver, Timestamp::now());
    }

    /// Resolves an app's references after a delay. A delay of zero resolves them before the call
    /// returns.
    pub(crate) fn resolve_after(&self, delay: Duration, app: &Arc<LocalApp>) {
        if delay.is_zero() {
            return self.resolve(app);
        }
        let (resolver, app) = (Arc::clone(&self.resolver), Arc::clone(app));
        self.tasks.spawn(async move {
            tokio::time::sleep(delay).await;
            app.resolve(&resolver, Timestamp::now());
        });
    }
}
