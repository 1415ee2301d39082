//! The errors of the Functions host.

use std::io;
use std::path::PathBuf;

use super::files::error::FilesError;

/// The reason that the host did not start.
#[derive(Debug, thiserror::Error)]
pub enum FunctionsHostError {
    /// The app's files are missing or invalid.
    #[error("the function app cannot be loaded")]
    Files(#[from] FilesError),
    /// The executable cannot be started.
    #[error("cannot start the handler `{}`", executable.display())]
    Handler {
        /// The executable that `host.json` names.
        executable: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The port is in use.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The requested port.
        port: u16,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The client that calls the handler cannot be created.
    #[error("cannot create the HTTP client that calls the handler")]
    Client(#[source] reqwest::Error),
}

/// There is no function of this name, or its trigger is of another kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no function `{0}` with such a trigger")]
pub struct NoSuchFunction(pub String);

/// There is no instance of this number. Instances are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no instance {0}")]
pub struct NoSuchInstance(pub usize);
