//! What the Functions host reads from the app's folder: `host.json` and one `function.json` per function.

mod function;

pub(super) use function::{Function, Trigger};

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Why the app's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file or folder is not there, or may not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not JSON.
    #[error("`{}` is not JSON", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        #[source]
        source: serde_json::Error,
    },
    /// A field is missing or holds something that it may not.
    #[error("`{field}` in `{}` is not {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field, from the root of the file.
        field: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// No folder of the app has a `function.json`.
    #[error("no folder in `{}` has a `function.json`", path.display())]
    NoFunctions {
        /// The app's folder.
        path: PathBuf,
    },
}

/// The app as its files describe it.
#[derive(Debug)]
pub(super) struct App {
    pub(super) root: PathBuf,
    pub(super) executable: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) working_directory: PathBuf,
    /// The first segment of the path of HTTP functions: `api` unless `host.json` says otherwise.
    pub(super) route_prefix: String,
    /// By name, which is the name of the folder.
    pub(super) functions: BTreeMap<String, Function>,
}

impl App {
    /// Reads `host.json` and the folders of functions. `environment` gives the values of `%NAME%` in schedules.
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
            .any(|function| !matches!(function.trigger, Trigger::Http { .. }))
        {
            // Only HTTP triggers are part of the host itself.
            host.text("extensionBundle.id")?;
            host.text("extensionBundle.version")?;
        }
        if host.flag("customHandler.enableForwardingHttpRequest")?
            && functions
                .values()
                .any(|function| matches!(function.trigger, Trigger::Http { .. }))
        {
            return Err(host.wrong(
                "customHandler.enableForwardingHttpRequest",
                "`false`: requests are not forwarded here",
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

/// A JSON file, and errors that name it.
struct JsonFile {
    path: PathBuf,
    content: Value,
}

impl JsonFile {
    fn read(path: PathBuf) -> Result<Self, FilesError> {
        match fs::read(&path) {
            Err(source) => Err(FilesError::Read { path, source }),
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Err(source) => Err(FilesError::NotJson { path, source }),
                Ok(content) => Ok(Self { path, content }),
            },
        }
    }

    /// The value of a field like `customHandler.description`. A number is an index into an array.
    fn get(&self, field: &str) -> Option<&Value> {
        field
            .split('.')
            .try_fold(&self.content, |value, part| match value {
                Value::Array(items) => items.get(part.parse::<usize>().ok()?),
                value => value.get(part),
            })
    }

    fn text(&self, field: &str) -> Result<&str, FilesError> {
        let text = self.optional_text(field)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.wrong(field, "a text"))
    }

    fn optional_text(&self, field: &str) -> Result<Option<&str>, FilesError> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        value
            .as_str()
            .map(Some)
            .ok_or_else(|| self.wrong(field, "a text"))
    }

    fn texts(&self, field: &str) -> Result<Vec<String>, FilesError> {
        let Some(value) = self.get(field) else {
            return Ok(Vec::new());
        };
        let texts = value.as_array().and_then(|items| {
            items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect()
        });
        texts.ok_or_else(|| self.wrong(field, "a list of texts"))
    }

    fn flag(&self, field: &str) -> Result<bool, FilesError> {
        let Some(value) = self.get(field) else {
            return Ok(false);
        };
        value
            .as_bool()
            .ok_or_else(|| self.wrong(field, "`true` or `false`"))
    }

    fn wrong(&self, field: &str, expected: &'static str) -> FilesError {
        FilesError::Field {
            path: self.path.clone(),
            field: field.to_owned(),
            expected,
        }
    }
}
