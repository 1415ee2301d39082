//! The errors of the cloud.

use std::io;
use std::path::PathBuf;

use crate::azurite::AzuriteError;
use crate::tls::TlsError;
use crate::vaults::VaultError;
use crate::world::WorldError;

/// The reason that the cloud cannot start or execute an operation.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    /// The world is invalid.
    #[error("the world is invalid")]
    World(#[from] WorldError),
    /// The certificate of the listeners cannot be created.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A listener could not be opened.
    #[error("cannot listen on port {port} of 127.0.0.1")]
    Listen {
        /// The port.
        port: u16,
        /// The cause.
        source: io::Error,
    },
    /// The world has no such vault.
    #[error("there is no vault `{0}`")]
    UnknownVault(String),
    /// The world has no such app.
    #[error("there is no app `{0}`")]
    UnknownApp(String),
    /// There is no client for blob storage.
    #[error(transparent)]
    Storage(#[from] AzuriteError),
    /// The file for the recording cannot be opened.
    #[error("cannot write `{}`", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The vault rejects the operation.
    #[error(transparent)]
    Vault(#[from] VaultError),
}
