//! The errors of the app's files.

use std::io;
use std::path::PathBuf;

/// The reason that the app's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file or folder is missing or unreadable.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file is not JSON.
    #[error("`{}` is not JSON", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// The position of the syntax error.
        #[source]
        source: serde_json::Error,
    },
    /// A field is missing or invalid.
    #[error("`{field}` in `{}` is not {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The path of the field from the root of the file.
        field: String,
        /// The values that the field may have.
        expected: &'static str,
    },
    /// No folder of the app has a `function.json`.
    #[error("no folder in `{}` has a `function.json`", path.display())]
    NoFunctions {
        /// The app's folder.
        path: PathBuf,
    },
}
