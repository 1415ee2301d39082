//! The blob storage of `keyrelay local`: an Azurite of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use keyrelay_local_azure::{Azurite, AzuriteOptions};

use crate::out;

/// The variable with the path of Azurite's script.
const SCRIPT: &str = "KEYRELAY_AZURITE";

/// A running Azurite with the folder of its data.
pub(super) struct BlobStorage {
    azurite: Arc<Azurite>,
    /// Deleted at the end, unless the user has chosen the folder.
    _temporary: Option<tempfile::TempDir>,
}

impl BlobStorage {
    /// Starts Azurite from `script`, or else from the script that the environment names.
    pub(super) async fn start(
        script: Option<PathBuf>,
        folder: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let script = find(script.or_else(from_environment))?;
        let (folder, temporary) = match folder {
            Some(folder) => (folder.to_owned(), None),
            None => {
                let temporary = tempfile::tempdir().context("cannot create a temporary folder")?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        out::note("starting Azurite");
        let azurite = Azurite::start(AzuriteOptions { script, folder }).await?;
        Ok(Self {
            azurite: Arc::new(azurite),
            _temporary: temporary,
        })
    }

    pub(super) fn azurite(&self) -> Arc<Azurite> {
        Arc::clone(&self.azurite)
    }

    /// Stops Azurite, which writes its data first, and deletes a temporary folder.
    pub(super) async fn stop(self) {
        self.azurite.stop().await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one variable of `keyrelay local`"
)]
fn from_environment() -> Option<PathBuf> {
    std::env::var_os(SCRIPT).map(PathBuf::from)
}

/// The absolute path of the script, because relative paths of `node` are relative to its folder.
fn find(script: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    const INSTALL: &str = "install Azurite with Node.js 20 or newer: `npm install azurite`, and give \
        the path of its blob service: `--azurite node_modules/azurite/dist/src/blob/main.js`, or in \
        the variable KEYRELAY_AZURITE";
    let Some(script) = script else {
        bail!("`--azurite` needs the script of Azurite: {INSTALL}");
    };
    let script = std::path::absolute(&script)
        .with_context(|| format!("cannot use `{}`", script.display()))?;
    if !script.is_file() {
        bail!("there is no file `{}`: {INSTALL}", script.display());
    }
    Ok(script)
}
