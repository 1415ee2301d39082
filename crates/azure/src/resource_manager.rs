//! Settings, references, sites and slots: what Resource Manager is asked for.

mod looking;
mod reference_status;
mod scope;
mod site;
mod writing;

use std::collections::BTreeMap;
use std::sync::Arc;

use keyrelay_model::{AppId, SettingName, SettingValue, Settings};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

pub use looking::{EventSubscription, SystemTopic};
pub use reference_status::{Progress, ReferenceStatus, Status};
pub use scope::{Scope, ScopeError};
pub use site::Site;
pub use writing::{Replaced, Writing};

use crate::call::Call;
use crate::cloud::{Cloud, CloudError};
use crate::credential::Credential;
use crate::error::{AzureError, Failure};
use crate::http::Http;
use crate::paging::read_json;
use crate::request_log::Operation;
use crate::transport::{Action, Request, Transport};
use reference_status::ReferenceRow;
use site::SiteRow;

/// Resource Manager of a cloud.
#[derive(Debug, Clone)]
pub struct ResourceManager {
    cloud: Cloud,
    transport: Transport,
}

impl ResourceManager {
    /// Resource Manager of a cloud, asked as `credential`.
    pub fn new(cloud: &Cloud, credential: Arc<Credential>, http: Http) -> Result<Self, CloudError> {
        cloud.check()?;
        let transport = Transport::paced(http, credential, cloud.resource_manager_audience.clone());
        Ok(Self {
            cloud: cloud.clone(),
            transport,
        })
    }

    /// All settings of an app, plain text included. Needs `config/list/Action`.
    pub async fn settings(&self, app: &AppId, call: &Call) -> Result<Settings, AzureError> {
        let path = format!("{app}/config/appsettings/list");
        let request = self.request(Operation::ReadSettings, app, &path, Action::Post);
        let body = self.transport.send(&request, call).await?;
        read_settings(&body).map_err(|failure| request.failed(failure))
    }

    /// Replaces all settings of an app, and returns those that Azure says it holds now. Needs `config/Write`.
    ///
    /// It is sent once, whatever happens: see [`AzureError::plan_again_after`].
    pub async fn write_settings(
        &self,
        app: &AppId,
        settings: &Settings,
        call: &Call,
    ) -> Result<Settings, AzureError> {
        let path = format!("{app}/config/appsettings");
        let request = self.request(Operation::WriteSettings, app, &path, Action::Put(settings));
        let body = self.transport.send(&request, call).await?;
        read_settings(&body).map_err(|failure| request.failed(failure))
    }

    /// Waits until the settings of an app can be read, written and watched without waiting any more.
    pub async fn writing<'a>(
        &'a self,
        app: &'a AppId,
        call: &'a Call,
    ) -> Result<Writing<'a>, AzureError> {
        let place = self
            .transport
            .writer(app.subscription(), Writing::REQUESTS, call)
            .await;
        let request = || self.request(Operation::WriteSettings, app, "", Action::Post);
        let place = place.ok_or_else(|| request().failed(Failure::OutOfTime))?;
        Ok(Writing {
            resource_manager: self,
            app,
            _place: place,
        })
    }

    /// The statuses of all references among an app's settings. Holds no plain text; needs `config/Read`.
    pub async fn reference_statuses(
        &self,
        app: &AppId,
        call: &Call,
    ) -> Result<Vec<ReferenceStatus>, AzureError> {
        let path = format!("{app}/config/configreferences/appsettings");
        let request = self.request(Operation::ReadReferences, app, &path, Action::Get);
        self.transport
            .list(request, call, |row: ReferenceRow| row.read(None))
            .await
    }

    /// The status of one reference; none if the setting is no reference, or does not exist.
    pub async fn reference_status(
        &self,
        app: &AppId,
        setting: &SettingName,
        call: &Call,
    ) -> Result<Option<ReferenceStatus>, AzureError> {
        if matches!(setting.as_str(), "" | "." | "..") {
            // No URL can end in such a name: it would name the folder.
            let all = self.reference_statuses(app, call).await?;
            return Ok(all.into_iter().find(|status| status.setting == *setting));
        }
        let path = format!("{app}/config/configreferences/appsettings");
        let mut request = self.request(Operation::ReadReference, app, &path, Action::Get);
        if let Ok(mut segments) = request.url.path_segments_mut() {
            segments.push(setting.as_str());
        }
        match self.transport.send(&request, call).await {
            Ok(body) => {
                let row: ReferenceRow =
                    read_json(&body).map_err(|failure| request.failed(failure))?;
                Ok(row.read(Some(setting)))
            }
            Err(error) if error.is_not_found() && !names_missing_resource(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes Azure resolve all references of an app anew. Which action below `config` Azure checks is not documented.
    /// Whether the app restarts is up to Azure.
    pub async fn refresh_references(&self, app: &AppId, call: &Call) -> Result<(), AzureError> {
        let path = format!("{app}/config/configreferences/appsettings/refresh");
        let mut request = self.request(Operation::RefreshReferences, app, &path, Action::Post);
        request.url.set_query(Some(&format!(
            "api-version={}",
            self.cloud.refresh_api_version
        )));
        self.transport.send(&request, call).await.map(drop)
    }

    /// The sites of a scope, without their slots. Needs `sites/Read`.
    pub async fn sites(&self, scope: &Scope, call: &Call) -> Result<Vec<Site>, AzureError> {
        let request = Request {
            operation: Operation::ListSites,
            subject: scope.to_string(),
            lane: scope.subscription().to_owned(),
            url: self.url(&format!("{scope}/providers/Microsoft.Web/sites")),
            action: Action::Get,
            is_admitted: false,
        };
        self.transport.list(request, call, SiteRow::read).await
    }

    /// The slots of a site; for a slot, those of the site it belongs to. The production slot is not among them.
    pub async fn slots(&self, app: &AppId, call: &Call) -> Result<Vec<Site>, AzureError> {
        let site = Scope::group_of(app);
        let path = format!("{site}/providers/Microsoft.Web/sites/{}/slots", app.site());
        let request = self.request(Operation::ListSlots, app, &path, Action::Get);
        self.transport.list(request, call, SiteRow::read).await
    }

    fn request<'a>(
        &self,
        operation: Operation,
        app: &AppId,
        path: &str,
        action: Action<'a>,
    ) -> Request<'a> {
        let subject = match app.slot() {
            Some(slot) => format!("{}/slots/{slot}", app.site()),
            None => app.site().to_owned(),
        };
        Request {
            operation,
            subject,
            lane: app.subscription().to_owned(),
            url: self.url(path),
            action,
            is_admitted: false,
        }
    }

    /// The URL of a path that is made of ids, which are fit for a URL as they are.
    fn url(&self, path: &str) -> Url {
        let mut url = self.cloud.resource_manager.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        url.set_query(Some(&format!("api-version={}", self.cloud.web_api_version)));
        url
    }
}

/// `{"properties": {name: value}}`
#[derive(Deserialize)]
struct SettingsDocument {
    properties: BTreeMap<String, Value>,
}

/// Reads all settings, or fails: a set with a gap would be written back with that gap.
fn read_settings(body: &[u8]) -> Result<Settings, Failure> {
    let SettingsDocument { properties } = read_json(body)?;
    let setting = |(name, value): (String, Value)| match value {
        Value::String(value) => Ok((SettingName::listed(name), SettingValue::new(value))),
        _ => Err(Failure::Unreadable(format!(
            "the value of `{name}` is not a text"
        ))),
    };
    properties.into_iter().map(setting).collect()
}

/// Whether a 404 is about the app, or what it is in. A missing setting has another code, or none.
fn names_missing_resource(error: &AzureError) -> bool {
    let codes = [
        "ResourceNotFound",
        "ResourceGroupNotFound",
        "SubscriptionNotFound",
    ];
    error
        .answer()
        .is_some_and(|answer| codes.iter().any(|code| answer.has_code(code)))
}
