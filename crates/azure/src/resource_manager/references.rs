//! The Key Vault references of an app.

use futures::future::try_join;
use keyrelay_model::{AppId, SettingName};

use super::client::ResourceManager;
use super::reference_status::{ReferenceKind, ReferenceStatus, ReferenceStatusRow};
use crate::call::Call;
use crate::error::AzureError;
use crate::paging::read_json;
use crate::request_log::Operation;
use crate::transport::Action;

impl ResourceManager {
    /// Reads the statuses of all references of an app: those in its settings, then those in its
    /// connection strings. They contain no plain text. Needs `config/Read`.
    ///
    /// Azure has a list for each, and both are read at the same time. The list of connection
    /// strings may be missing.
    pub async fn reference_statuses(
        &self,
        app: &AppId,
        call: &Call,
    ) -> Result<Vec<ReferenceStatus>, AzureError> {
        let (mut statuses, connection_strings) = try_join(
            self.app_setting_reference_statuses(app, call),
            self.connection_string_reference_statuses(app, call),
        )
        .await?;
        statuses.extend(connection_strings);
        Ok(statuses)
    }

    /// Reads the statuses of the references in the settings of an app, with one request. Needs
    /// `config/Read`.
    pub async fn app_setting_reference_statuses(
        &self,
        app: &AppId,
        call: &Call,
    ) -> Result<Vec<ReferenceStatus>, AzureError> {
        self.listed_statuses(ReferenceKind::AppSetting, app, call)
            .await
    }

    async fn connection_string_reference_statuses(
        &self,
        app: &AppId,
        call: &Call,
    ) -> Result<Vec<ReferenceStatus>, AzureError> {
        let listed = self
            .listed_statuses(ReferenceKind::ConnectionString, app, call)
            .await;
        match listed {
            // Older stamps do not have this list. If the app is missing, so is its other list.
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            listed => listed,
        }
    }

    async fn listed_statuses(
        &self,
        kind: ReferenceKind,
        app: &AppId,
        call: &Call,
    ) -> Result<Vec<ReferenceStatus>, AzureError> {
        let path = format!("{app}/config/configreferences/{}", kind.list());
        let request = self.app_request(Operation::ReadReferences, app, &path, Action::Get);
        self.transport
            .list(request, call, |row: ReferenceStatusRow| {
                row.read(kind, None)
            })
            .await
    }

    /// Reads the status of the reference in one app setting; `None` if the setting holds no
    /// reference or does not exist.
    pub async fn reference_status(
        &self,
        app: &AppId,
        setting: &SettingName,
        call: &Call,
    ) -> Result<Option<ReferenceStatus>, AzureError> {
        if matches!(setting.as_str(), "" | "." | "..") {
            // As a path segment, such a name would be resolved to the parent or removed.
            let all = self.app_setting_reference_statuses(app, call).await?;
            return Ok(all.into_iter().find(|status| status.setting == *setting));
        }
        let path = format!("{app}/config/configreferences/appsettings");
        let mut request = self.app_request(Operation::ReadReference, app, &path, Action::Get);
        if let Ok(mut segments) = request.url.path_segments_mut() {
            segments.push(setting.as_str());
        }
        match self.transport.send(&request, call).await {
            Ok(body) => {
                let row: ReferenceStatusRow =
                    read_json(&body).map_err(|failure| request.failed(failure))?;
                Ok(row.read(ReferenceKind::AppSetting, Some(setting)))
            }
            Err(error) if error.is_not_found() && !names_missing_resource(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes Azure resolve all references of an app again. The permission that Azure checks below
    /// `config` is not documented, and neither is whether the app restarts.
    ///
    /// The request names the list of app settings. It is not documented whether it covers the
    /// references in connection strings too, and there is no documented request for those alone.
    pub async fn refresh_references(&self, app: &AppId, call: &Call) -> Result<(), AzureError> {
        let path = format!("{app}/config/configreferences/appsettings/refresh");
        let mut request = self.app_request(Operation::RefreshReferences, app, &path, Action::Post);
        request.url.set_query(Some(&format!(
            "api-version={}",
            self.cloud.refresh_api_version
        )));
        self.transport.send(&request, call).await.map(drop)
    }
}

/// Whether a 404 is about the app or its parents. That of a missing setting has another code, or
/// none.
fn names_missing_resource(error: &AzureError) -> bool {
    let codes = [
        "ResourceNotFound",
        "ResourceGroupNotFound",
        "SubscriptionNotFound",
    ];
    error
        .response()
        .is_some_and(|response| codes.iter().any(|code| response.has_code(code)))
}
