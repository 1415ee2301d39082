//! Another writer of the same apps, such as the portal, a pipeline or a faulty script.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::http::Method;

use super::error::CloudError;
use crate::apps::{Apps, LocalApp};
use crate::hidden::Hidden;
use crate::requests::Requests;

/// A principal that writes settings directly. It needs no token and is subject to neither faults
/// nor interceptions. Its writes are recorded as the equivalent requests. Clones are the same
/// principal.
#[derive(Clone)]
pub struct Writer {
    apps: Arc<Apps>,
    requests: Arc<Requests>,
    name: String,
}

impl Writer {
    pub(super) fn new(apps: Arc<Apps>, requests: Arc<Requests>, name: &str) -> Self {
        Self {
            apps,
            requests,
            name: name.to_owned(),
        }
    }

    /// Sets one setting and keeps the current values of the others.
    pub fn set(
        &self,
        app: &str,
        setting: &str,
        value: impl Into<Hidden>,
    ) -> Result<(), CloudError> {
        self.edit(app, |settings| {
            settings.insert(setting.to_owned(), value.into());
        })
    }

    /// Removes one setting, if it exists, and keeps the current values of the others.
    pub fn remove(&self, app: &str, setting: &str) -> Result<(), CloudError> {
        self.edit(app, |settings| {
            settings.remove(setting);
        })
    }

    /// Changes the current settings atomically.
    pub fn edit(
        &self,
        app: &str,
        change: impl FnOnce(&mut BTreeMap<String, Hidden>),
    ) -> Result<(), CloudError> {
        let app = self.app(app)?;
        self.write(app, change);
        Ok(())
    }

    /// Reads the settings, waits, and writes them back with a change. Concurrent writes during the
    /// pause are lost, as with a deployment script.
    pub async fn rewrite(
        &self,
        app: &str,
        pause: impl Future<Output = ()>,
        change: impl FnOnce(&mut BTreeMap<String, Hidden>),
    ) -> Result<(), CloudError> {
        let app = self.app(app)?;
        let mut settings = app.settings();
        self.record(Method::POST, format!("{}/config/appsettings/list", app.id));
        pause.await;
        change(&mut settings);
        self.write(app, |current| *current = settings);
        Ok(())
    }

    fn app(&self, name: &str) -> Result<&Arc<LocalApp>, CloudError> {
        self.apps
            .named(name)
            .ok_or_else(|| CloudError::UnknownApp(name.to_owned()))
    }

    fn write(&self, app: &Arc<LocalApp>, change: impl FnOnce(&mut BTreeMap<String, Hidden>)) {
        self.apps.write(app, change);
        self.record(Method::PUT, format!("{}/config/appsettings", app.id));
    }

    fn record(&self, method: Method, path: String) {
        self.requests.record_direct(&self.name, method, path);
    }
}

impl fmt::Debug for Writer {
    /// Prints only the name, because the apps hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
