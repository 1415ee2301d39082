//! JSON files of the app.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::error::FilesError;

/// A parsed JSON file. Its errors name the file.
pub(super) struct JsonFile {
    path: PathBuf,
    content: Value,
}

impl JsonFile {
    pub(super) fn read(path: PathBuf) -> Result<Self, FilesError> {
        match fs::read(&path) {
            Err(source) => Err(FilesError::Read { path, source }),
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Err(source) => Err(FilesError::NotJson { path, source }),
                Ok(content) => Ok(Self { path, content }),
            },
        }
    }

    /// The value of a field such as `customHandler.description`. A number is an index into an
    /// array.
    pub(super) fn get(&self, field: &str) -> Option<&Value> {
        field
            .split('.')
            .try_fold(&self.content, |value, part| match value {
                Value::Array(items) => items.get(part.parse::<usize>().ok()?),
                value => value.get(part),
            })
    }

    pub(super) fn text(&self, field: &str) -> Result<&str, FilesError> {
        let text = self.optional_text(field)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| self.wrong(field, "a text"))
    }

    pub(super) fn optional_text(&self, field: &str) -> Result<Option<&str>, FilesError> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        value
            .as_str()
            .map(Some)
            .ok_or_else(|| self.wrong(field, "a text"))
    }

    pub(super) fn texts(&self, field: &str) -> Result<Vec<String>, FilesError> {
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

    pub(super) fn flag(&self, field: &str) -> Result<bool, FilesError> {
        let Some(value) = self.get(field) else {
            return Ok(false);
        };
        value
            .as_bool()
            .ok_or_else(|| self.wrong(field, "`true` or `false`"))
    }

    pub(super) fn wrong(&self, field: &str, expected: &'static str) -> FilesError {
        FilesError::Field {
            path: self.path.clone(),
            field: field.to_owned(),
            expected,
        }
    }
}
