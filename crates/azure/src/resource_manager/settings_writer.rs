//! A write of settings with the shortest possible time between the last read and the write.

use futures::future::join;
use keyrelay_model::{AppId, Settings};

use super::client::ResourceManager;
use super::settings::read_settings;
use crate::call::Call;
use crate::error::AzureError;
use crate::failure::Failure;
use crate::request_log::Operation;
use crate::throttle::Writer;
use crate::transport::{Action, Request};

/// The requests of a writer: the last read, the concurrent read and the write.
const REQUESTS: u32 = 3;

/// The permit to write the settings of an app.
///
/// Azure has no conditional write, so another writer's change between the last read and the write
/// is lost. The writer has already waited for its tokens and its permit, which keeps that time
/// short.
#[derive(Debug)]
pub struct SettingsWriter<'a> {
    resource_manager: &'a ResourceManager,
    app: &'a AppId,
    _permit: Writer,
}

/// The outcome of a write.
#[derive(Debug)]
pub struct WriteOutcome {
    /// The settings that a read sent together with the write returned, most often as they were
    /// right before it.
    pub concurrent_read: Option<Settings>,
    /// Azure's response. See [`AzureError::plan_again_after`] and
    /// [`AzureError::may_have_been_written`].
    pub response: Result<Settings, AzureError>,
}

impl ResourceManager {
    /// Waits until the settings of an app can be read and written without another wait.
    pub async fn settings_writer<'a>(
        &'a self,
        app: &'a AppId,
        call: &'a Call,
    ) -> Result<SettingsWriter<'a>, AzureError> {
        let permit = self.transport.writer(app, REQUESTS, call).await;
        let request = || self.app_request(Operation::WriteSettings, app, "", Action::Post);
        Ok(SettingsWriter {
            resource_manager: self,
            app,
            _permit: permit.ok_or_else(|| request().failed(Failure::DeadlineExceeded))?,
        })
    }
}

impl SettingsWriter<'_> {
    /// Reads all settings.
    pub async fn settings(&self, call: &Call) -> Result<Settings, AzureError> {
        let path = format!("{}/config/appsettings/list", self.app);
        let request = self.request(Operation::ReadSettings, &path, Action::Post);
        let body = self.resource_manager.transport.send(&request, call).await?;
        read_settings(&body).map_err(|failure| request.failed(failure))
    }

    /// Replaces all settings. The request is never repeated.
    pub async fn replace(self, settings: &Settings, call: &Call) -> WriteOutcome {
        let path = format!("{}/config/appsettings", self.app);
        let request = self.request(Operation::WriteSettings, &path, Action::Put(settings));
        // `join` polls the read first, so it is sent before the write.
        let (concurrent_read, body) = join(
            self.settings(call),
            self.resource_manager.transport.send(&request, call),
        )
        .await;
        let response =
            body.and_then(|body| read_settings(&body).map_err(|failure| request.failed(failure)));
        WriteOutcome {
            concurrent_read: concurrent_read.ok(),
            response,
        }
    }

    fn request<'a>(&self, operation: Operation, path: &str, action: Action<'a>) -> Request<'a> {
        Request {
            is_admitted: true,
            ..self
                .resource_manager
                .app_request(operation, self.app, path, action)
        }
    }
}
