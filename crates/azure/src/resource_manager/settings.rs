//! The application settings of an app.

use std::collections::BTreeMap;

use keyrelay_model::{AppId, SettingName, SettingValue, Settings};
use serde::Deserialize;
use serde_json::Value;

use super::client::ResourceManager;
use crate::call::Call;
use crate::error::AzureError;
use crate::failure::Failure;
use crate::paging::read_json;
use crate::request_log::Operation;
use crate::transport::Action;

impl ResourceManager {
    /// Reads all settings of an app, including plain text. Needs `config/list/Action`.
    pub async fn settings(&self, app: &AppId, call: &Call) -> Result<Settings, AzureError> {
        let path = format!("{app}/config/appsettings/list");
        let request = self.app_request(Operation::ReadSettings, app, &path, Action::Post);
        let body = self.transport.send(&request, call).await?;
        read_settings(&body).map_err(|failure| request.failed(failure))
    }

    /// Replaces all settings of an app and returns those that Azure confirms. Needs `config/Write`.
    ///
    /// The request is never repeated: see [`AzureError::plan_again_after`].
    pub async fn write_settings(
        &self,
        app: &AppId,
        settings: &Settings,
        call: &Call,
    ) -> Result<Settings, AzureError> {
        let path = format!("{app}/config/appsettings");
        let action = Action::Put(settings);
        let request = self.app_request(Operation::WriteSettings, app, &path, action);
        let body = self.transport.send(&request, call).await?;
        read_settings(&body).map_err(|failure| request.failed(failure))
    }
}

/// `{"properties": {name: value}}`
#[derive(Deserialize)]
struct SettingsDocument {
    properties: BTreeMap<String, Value>,
}

/// Reads a complete set of settings. A partial set is an error, because writing it back would
/// delete the rest.
pub(super) fn read_settings(body: &[u8]) -> Result<Settings, Failure> {
    let SettingsDocument { properties } = read_json(body)?;
    let setting = |(name, value): (String, Value)| match value {
        Value::String(value) => Ok((SettingName::listed(name), SettingValue::new(value))),
        _ => Err(Failure::Unreadable(format!(
            "the value of `{name}` is not a string"
        ))),
    };
    properties.into_iter().map(setting).collect()
}
