//! The configuration of the function app in `keyrelay local`: its problems, and its changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use keyrelay_config::Config;

/// The file that keyrelay-host reads when it starts.
const FILE: &str = "keyrelay.toml";

/// The problems because of which keyrelay-host does not start, or can handle no event: each with
/// its file, its field and its fix.
pub(super) fn problems(app: &Path, environment: &[(String, String)]) -> Vec<String> {
    let environment: BTreeMap<String, String> = environment.iter().cloned().collect();
    let mut problems: Vec<String> = match Config::load(app, &environment) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    let policies = app.join("policies");
    if !policies.is_dir() {
        problems.push(format!(
            "policies: the folder {} does not exist: make it, and put policies into it \
             (`cargo xtask app` makes `target/app` with all of them)",
            policies.display()
        ));
    }
    problems
}

/// The contents of `keyrelay.toml` that keyrelay-host has read. It reads them once, when it starts.
#[derive(Debug)]
pub(super) struct ConfigurationFile {
    path: PathBuf,
    /// None: there is no such file, which is like an empty one.
    contents: Option<Vec<u8>>,
}

impl ConfigurationFile {
    /// Reads the file of the function app in this folder.
    pub(super) fn read(app: &Path) -> Self {
        let path = app.join(FILE);
        let contents = std::fs::read(&path).ok();
        Self { path, contents }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file has changed since the last call. A file that is written again with the same
    /// contents has not.
    pub(super) fn has_changed(&mut self) -> bool {
        let contents = std::fs::read(&self.path).ok();
        let has_changed = contents != self.contents;
        self.contents = contents;
        has_changed
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn problems_name_the_file_and_the_field() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "mode = \"on\"").unwrap();
        let setting = ("KEYRELAY_TELEMETRY".to_owned(), "loud".to_owned());
        let found = problems(folder.path(), &[setting]);
        let words = [
            "keyrelay.toml: mode: `on`",
            "KEYRELAY_TELEMETRY",
            "policies: the folder /",
        ];
        for words in words {
            assert!(found.iter().any(|it| it.contains(words)), "{found:#?}");
        }
        fs::write(folder.path().join(FILE), "mode = \"monitor\"").unwrap();
        fs::create_dir(folder.path().join("policies")).unwrap();
        assert_eq!(problems(folder.path(), &[]), [] as [&str; 0]);
    }

    #[test]
    fn a_change_of_the_file_is_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = ConfigurationFile::read(folder.path());
        assert!(!file.has_changed());
        fs::write(folder.path().join(FILE), "mode = \"off\"").unwrap();
        assert!(file.has_changed() && !file.has_changed());
        fs::remove_file(folder.path().join(FILE)).unwrap();
        assert!(file.has_changed());
    }
}
