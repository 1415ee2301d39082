//! The app's folder: `host.json` and one `function.json` per function.

pub(super) mod error;
pub(super) mod function;
mod json_file;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use error::FilesError;
use function::{Function, FunctionTrigger};
use json_file::JsonFile;

/// The app, read from its files.
#[derive(Debug)]
pub(super) struct AppFiles {
    pub(super) root: PathBuf,
    pub(super) executable: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) working_directory: PathBuf,
    /// The first segment of the path of HTTP functions. The default is `api`.
    pub(super) route_prefix: String,
    /// The functions by name, which is the name of the folder.
    pub(super) functions: BTreeMap<String, Function>,
}

impl AppFiles {
    /// Reads `host.json` and the folders of functions. `environment` resolves `%NAME%` in
    /// schedules.
    pub(super) fn read(root: &Path, environment: &[(String, String)]) -> Result<Self, FilesError> {
        let root = root.canonicalize().map_err(|source| FilesError::Read {
            path: root.to_owned(),
            source,
        })?;
        let host = JsonFile::read(root.join("host.json"))?;
        if host.text("version")? != "2.0" {
            return Err(host.wrong("version", "`2.0`"));
        }
        let executable = root.join(host.text("customHandler.description.defaultExecutablePath")?);
        if !executable.is_file() {
            return Err(host.wrong(
                "customHandler.description.defaultExecutablePath",
                "an existing file",
            ));
        }
        let working_directory = host.optional_text("customHandler.description.workingDirectory")?;
        let functions = read_functions(&root, environment)?;
        if functions
            .values()
            .any(|function| !matches!(function.trigger, FunctionTrigger::Http { .. }))
        {
            // The host itself implements only HTTP triggers.
            host.text("extensionBundle.id")?;
            host.text("extensionBundle.version")?;
        }
        if host.flag("customHandler.enableForwardingHttpRequest")?
            && functions
                .values()
                .any(|function| matches!(function.trigger, FunctionTrigger::Http { .. }))
        {
            return Err(host.wrong(
                "customHandler.enableForwardingHttpRequest",
                "`false`: the stand-in does not forward requests",
            ));
        }
        Ok(Self {
            executable,
            arguments: host.texts("customHandler.description.arguments")?,
            working_directory: working_directory
                .map_or_else(|| root.clone(), |folder| root.join(folder)),
            route_prefix: host
                .optional_text("extensions.http.routePrefix")?
                .unwrap_or("api")
                .to_owned(),
            functions,
            root,
        })
    }
}

fn read_functions(
    root: &Path,
    environment: &[(String, String)],
) -> Result<BTreeMap<String, Function>, FilesError> {
    let unreadable = |source| FilesError::Read {
        path: root.to_owned(),
        source,
    };
    let mut functions = BTreeMap::new();
    for folder in fs::read_dir(root).map_err(unreadable)? {
        let folder = folder.map_err(unreadable)?;
        let file = folder.path().join("function.json");
        let Ok(name) = folder.file_name().into_string() else {
            continue;
        };
        if file.is_file() {
            let function = Function::read(name.clone(), &JsonFile::read(file)?, environment)?;
            functions.insert(name, function);
        }
    }
    if functions.is_empty() {
        return Err(FilesError::NoFunctions {
            path: root.to_owned(),
        });
    }
    Ok(functions)
}
