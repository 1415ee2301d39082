//! What tests and demonstrations do to the world and see of it, past the services.
//!
//! An app is named by its Resource Manager id, or in short: `site`, `site/slot`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Cloud, CloudError, Writer};
use crate::apps::ReferenceRow;
use crate::faults::Fault;
use crate::hidden::Hidden;
use crate::intercept::{Intercept, Interception, Then};
use crate::requests::Request;
use crate::resource_manager;
use crate::vaults::{Attributes, Occurrence};

impl Cloud {
    /// Makes a new version of a secret, publishes its event, and returns the version's id.
    pub fn set_secret(
        &self,
        vault: &str,
        secret: &str,
        value: impl Into<Hidden>,
    ) -> Result<String, CloudError> {
        self.backend.set_secret_value(vault, secret, value.into())
    }

    /// Changes the attributes of a version. That publishes nothing.
    pub fn set_attributes(
        &self,
        vault: &str,
        secret: &str,
        version: &str,
        attributes: Attributes,
    ) -> Result<(), CloudError> {
        let vault = self.backend.vault(vault)?;
        vault.update(secret, Some(version), Timestamp::now(), |version| {
            version.attributes = attributes
        })?;
        Ok(())
    }

    /// The id of a secret's newest version.
    pub fn newest_version(&self, vault: &str, secret: &str) -> Result<String, CloudError> {
        Ok(self.backend.vault(vault)?.secret(secret)?.newest.id)
    }

    /// Publishes that the newest version of a secret expires soon.
    pub fn publish_near_expiry(&self, vault: &str, secret: &str) -> Result<(), CloudError> {
        self.backend
            .publish_of_newest(vault, secret, Occurrence::NearExpiry)
    }

    /// Publishes that the newest version of a secret has expired.
    pub fn publish_expired(&self, vault: &str, secret: &str) -> Result<(), CloudError> {
        self.backend
            .publish_of_newest(vault, secret, Occurrence::Expired)
    }

    /// The Resource Manager id of an app.
    pub fn app_id(&self, app: &str) -> Result<String, CloudError> {
        Ok(self.backend.app(app)?.id.clone())
    }

    /// An app's settings.
    pub fn settings(&self, app: &str) -> Result<BTreeMap<String, Hidden>, CloudError> {
        Ok(self.backend.app(app)?.settings())
    }

    /// Somebody else who writes settings, and who is called `name` in [`requests`](Self::requests).
    pub fn writer(&self, name: &str) -> Writer {
        Writer::new(Arc::clone(&self.backend), name)
    }

    /// Writes an app's settings as somebody else would, who is not seen in [`requests`](Self::requests).
    pub fn edit_settings(
        &self,
        app: &str,
        change: impl FnOnce(&mut BTreeMap<String, Hidden>),
    ) -> Result<(), CloudError> {
        resource_manager::write(&self.backend, self.backend.app(app)?, change);
        Ok(())
    }

    /// How it stands with an app's references.
    pub fn references(&self, app: &str) -> Result<Vec<ReferenceRow>, CloudError> {
        Ok(self.backend.app(app)?.references())
    }

    /// Switches a fault on.
    pub fn switch_on(&self, fault: Fault) {
        self.backend.faults.switch_on(fault);
    }

    /// Switches all faults off.
    pub fn switch_off_faults(&self) {
        self.backend.faults.switch_off();
    }

    /// The faults that can still strike.
    pub fn faults(&self) -> Vec<Fault> {
        self.backend.faults.all()
    }

    /// Does something at an exact moment of a request, once. The request waits until the future is ready, which says how
    /// it goes on.
    pub fn intercept<A>(
        &self,
        intercept: Intercept,
        act: impl FnOnce() -> A + Send + 'static,
    ) -> Interception
    where
        A: Future<Output = Then> + Send + 'static,
    {
        self.backend.intercepts.arm(intercept, act)
    }

    /// Removes all interceptions that have not begun.
    pub fn clear_intercepts(&self) {
        self.backend.intercepts.clear();
    }

    /// Makes every token that was handed out unknown.
    pub fn revoke_tokens(&self) {
        self.backend.identities.revoke_all();
    }

    /// Every request that arrived, oldest first. A stand-in that runs for days forgets the older ones.
    pub fn requests(&self) -> Vec<Request> {
        self.backend.requests.all()
    }
}
