//! Somebody else who writes the same apps: a portal, a pipeline, a bad script.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::http::Method;

use super::CloudError;
use crate::apps::App;
use crate::backend::Backend;
use crate::hidden::Hidden;
use crate::resource_manager;

/// A principal that writes settings past the services: it needs no token, and faults and interceptions do not meet it.
/// What it does is recorded as the requests that it would have sent. Clones are the same principal.
#[derive(Clone)]
pub struct Writer {
    backend: Arc<Backend>,
    name: String,
}

impl Writer {
    pub(super) fn new(backend: Arc<Backend>, name: &str) -> Self {
        Self {
            backend,
            name: name.to_owned(),
        }
    }

    /// Sets one setting and leaves the others as they are at this moment.
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

    /// Removes one setting, if it is there, and leaves the others as they are at this moment.
    pub fn remove(&self, app: &str, setting: &str) -> Result<(), CloudError> {
        self.edit(app, |settings| {
            settings.remove(setting);
        })
    }

    /// Changes the set as it is at this moment. Nobody's write can come in between.
    pub fn edit(
        &self,
        app: &str,
        change: impl FnOnce(&mut BTreeMap<String, Hidden>),
    ) -> Result<(), CloudError> {
        let app = self.backend.app(app)?;
        self.write(app, change);
        Ok(())
    }

    /// Reads the set, waits, and writes it back as it was read, with a change: whatever was written during the pause is
    /// lost. A deployment script does that.
    pub async fn rewrite(
        &self,
        app: &str,
        pause: impl Future<Output = ()>,
        change: impl FnOnce(&mut BTreeMap<String, Hidden>),
    ) -> Result<(), CloudError> {
        let app = self.backend.app(app)?;
        let mut settings = app.settings();
        self.record(Method::POST, format!("{}/config/appsettings/list", app.id));
        pause.await;
        change(&mut settings);
        self.write(app, |current| *current = settings);
        Ok(())
    }

    fn write(&self, app: &Arc<App>, change: impl FnOnce(&mut BTreeMap<String, Hidden>)) {
        resource_manager::write(&self.backend, app, change);
        self.record(Method::PUT, format!("{}/config/appsettings", app.id));
    }

    fn record(&self, method: Method, path: String) {
        self.backend.requests.by_hand(&self.name, method, path);
    }
}

impl fmt::Debug for Writer {
    /// Only who it is: what it writes to holds tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
