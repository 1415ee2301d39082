//! A write of settings with nothing between the last read and itself.

use futures::future::join;
use keyrelay_model::{AppId, Settings};
use tokio::sync::OwnedSemaphorePermit;

use super::{ResourceManager, read_settings};
use crate::call::Call;
use crate::error::AzureError;
use crate::request_log::Operation;
use crate::transport::Action;

/// The place of somebody who is about to write the settings of an app.
///
/// Azure knows no condition on a write, so the time from the last read to the write is when somebody else's write gets
/// lost. Whatever has to be waited for was waited for before: the pace, and how many requests are in flight.
#[derive(Debug)]
pub struct Writing<'a> {
    pub(super) resource_manager: &'a ResourceManager,
    pub(super) app: &'a AppId,
    pub(super) _place: OwnedSemaphorePermit,
}

/// What came of a write.
#[derive(Debug)]
pub struct Replaced {
    /// The settings as somebody saw them who was sent off together with the write: most often, right before it.
    pub witness: Option<Settings>,
    /// What Azure answered. See [`AzureError::plan_again_after`] and [`AzureError::may_have_been_written`].
    pub answer: Result<Settings, AzureError>,
}

impl Writing<'_> {
    /// The last read, the witness and the write.
    pub(super) const REQUESTS: u32 = 3;

    /// Reads all settings.
    pub async fn settings(&self, call: &Call) -> Result<Settings, AzureError> {
        let path = format!("{}/config/appsettings/list", self.app);
        let request =
            self.resource_manager
                .request(Operation::ReadSettings, self.app, &path, Action::Post);
        let request = crate::transport::Request {
            is_admitted: true,
            ..request
        };
        let body = self.resource_manager.transport.send(&request, call).await?;
        read_settings(&body).map_err(|failure| request.failed(failure))
    }

    /// Replaces all settings. It is sent once, whatever happens.
    pub async fn replace(self, settings: &Settings, call: &Call) -> Replaced {
        let path = format!("{}/config/appsettings", self.app);
        let request = self.resource_manager.request(
            Operation::WriteSettings,
            self.app,
            &path,
            Action::Put(settings),
        );
        let request = crate::transport::Request {
            is_admitted: true,
            ..request
        };
        // The witness is sent first: `join` begins with it.
        let (witness, body) = join(
            self.settings(call),
            self.resource_manager.transport.send(&request, call),
        )
        .await;
        let answer =
            body.and_then(|body| read_settings(&body).map_err(|failure| request.failed(failure)));
        Replaced {
            witness: witness.ok(),
            answer,
        }
    }
}
