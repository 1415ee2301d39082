//! Direct access to the state of the cloud, for tests and demonstrations.
//!
//! An app is named by its Resource Manager id or by its short name: `site`, `site/slot`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Cloud;
use super::error::CloudError;
use super::writer::Writer;
use crate::apps::{ConnectionString, ReferenceRow};
use crate::fault::Fault;
use crate::hidden::Hidden;
use crate::intercept::{Intercept, Interception, Then};
use crate::requests::RecordedRequest;
use crate::vaults::{Attributes, SecretOccurrence};

impl Cloud {
    /// Creates a version of a secret, publishes its event, and returns the version's id.
    pub fn set_secret(
        &self,
        vault: &str,
        secret: &str,
        value: impl Into<Hidden>,
    ) -> Result<String, CloudError> {
        self.services.set_secret(vault, secret, value.into())
    }

    /// Changes the attributes of a version. This publishes no event.
    pub fn set_attributes(
        &self,
        vault: &str,
        secret: &str,
        version: &str,
        attributes: Attributes,
    ) -> Result<(), CloudError> {
        let vault = self.services.vault(vault)?;
        vault.update(secret, Some(version), Timestamp::now(), |version| {
            version.attributes = attributes
        })?;
        Ok(())
    }

    /// Changes the time at which the newest version of a secret was created. This publishes no event.
    pub fn set_created(
        &self,
        vault: &str,
        secret: &str,
        created: Timestamp,
    ) -> Result<(), CloudError> {
        let vault = self.services.vault(vault)?;
        vault.update(secret, None, Timestamp::now(), |version| {
            version.created = created;
        })?;
        Ok(())
    }

    /// The id of a secret's newest version.
    pub fn newest_version(&self, vault: &str, secret: &str) -> Result<String, CloudError> {
        Ok(self.services.vault(vault)?.secret(secret)?.newest.id)
    }

    /// Publishes that the newest version of a secret expires soon.
    pub fn publish_near_expiry(&self, vault: &str, secret: &str) -> Result<(), CloudError> {
        self.services
            .publish_newest(vault, secret, SecretOccurrence::NearExpiry)
    }

    /// Publishes that the newest version of a secret has expired.
    pub fn publish_expired(&self, vault: &str, secret: &str) -> Result<(), CloudError> {
        self.services
            .publish_newest(vault, secret, SecretOccurrence::Expired)
    }

    /// The Resource Manager id of an app.
    pub fn app_id(&self, app: &str) -> Result<String, CloudError> {
        Ok(self.services.app(app)?.id.clone())
    }

    /// An app's settings.
    pub fn settings(&self, app: &str) -> Result<BTreeMap<String, Hidden>, CloudError> {
        Ok(self.services.app(app)?.settings())
    }

    /// Another writer of settings, recorded under `name` in [`requests`](Self::requests).
    pub fn writer(&self, name: &str) -> Writer {
        Writer::new(
            Arc::clone(&self.services.apps),
            Arc::clone(&self.services.requests),
            name,
        )
    }

    /// Changes an app's settings without a record in [`requests`](Self::requests).
    pub fn edit_settings(
        &self,
        app: &str,
        change: impl FnOnce(&mut BTreeMap<String, Hidden>),
    ) -> Result<(), CloudError> {
        self.services.apps.write(self.services.app(app)?, change);
        Ok(())
    }

    /// An app's connection strings.
    pub fn connection_strings(&self, app: &str) -> Result<BTreeMap<String, Hidden>, CloudError> {
        let connection_strings = self.services.app(app)?.connection_strings();
        Ok(connection_strings
            .into_iter()
            .map(|(name, it)| (name, it.value))
            .collect())
    }

    /// Sets one connection string of the type `Custom` without a record in
    /// [`requests`](Self::requests).
    pub fn set_connection_string(
        &self,
        app: &str,
        name: &str,
        value: impl Into<Hidden>,
    ) -> Result<(), CloudError> {
        let app = self.services.app(app)?;
        self.services
            .apps
            .write_connection_strings(app, |connection_strings| {
                let value = ConnectionString::custom(value.into());
                connection_strings.insert(name.to_owned(), value);
            });
        Ok(())
    }

    /// Replaces what App Service authentication does for an app: the properties of `authsettingsV2`.
    pub fn set_authentication(
        &self,
        app: &str,
        properties: Map<String, Value>,
    ) -> Result<(), CloudError> {
        self.services.app(app)?.set_authentication(properties);
        Ok(())
    }

    /// An app's references with their true status, in every profile: first those in settings, then
    /// those in connection strings.
    pub fn references(&self, app: &str) -> Result<Vec<ReferenceRow>, CloudError> {
        Ok(self.services.app(app)?.references())
    }

    /// Switches a fault on.
    pub fn switch_on(&self, fault: Fault) {
        self.services.faults.switch_on(fault);
    }

    /// Switches all faults off.
    pub fn switch_off_faults(&self) {
        self.services.faults.switch_off();
    }

    /// The faults that can still apply.
    pub fn faults(&self) -> Vec<Fault> {
        self.services.faults.all()
    }

    /// Runs an action once, at an exact moment of a request. The request waits for the action,
    /// which decides how it continues.
    pub fn intercept<A>(
        &self,
        intercept: Intercept,
        act: impl FnOnce() -> A + Send + 'static,
    ) -> Interception
    where
        A: Future<Output = Then> + Send + 'static,
    {
        self.services.intercepts.arm(intercept, act)
    }

    /// Removes all interceptions that have not started.
    pub fn clear_intercepts(&self) {
        self.services.intercepts.clear();
    }

    /// Revokes every issued token.
    pub fn revoke_tokens(&self) {
        self.services.identities.revoke_all();
    }

    /// The recorded requests, oldest first. Only the most recent ones are kept.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.services.requests.all()
    }
}
