//! The checks of the installation, as `keyrelay doctor` makes them.

use std::path::PathBuf;

use futures::FutureExt;
use futures::future::BoxFuture;
use keyrelay_model::AppId;
use keyrelay_ui::{FindingLevel, InstallationChecks, InstallationFinding};
use tokio::runtime::Handle;

use crate::doctor;

/// The checks of one installation.
#[derive(Debug)]
pub(super) struct DoctorChecks {
    /// The folder of the function app.
    pub(super) folder: PathBuf,
    /// keyrelay's function app in Azure.
    pub(super) site: Option<AppId>,
}

impl InstallationChecks for DoctorChecks {
    fn check(&self) -> BoxFuture<'_, Vec<InstallationFinding>> {
        let (folder, site) = (self.folder.clone(), self.site.clone());
        async move {
            // The checks borrow across threads in ways that the compiler cannot prove: they stay on one.
            let checks = tokio::task::spawn_blocking(move || {
                Handle::current().block_on(doctor::findings(folder, site))
            });
            checks.await.unwrap_or_else(|_| {
                vec![InstallationFinding {
                    level: FindingLevel::Failed,
                    what: "doctor".to_owned(),
                    message: "a panic occurred in the checks: please report this".to_owned(),
                    fix: None,
                }]
            })
        }
        .boxed()
    }
}
