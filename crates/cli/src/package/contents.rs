//! The contents of a package, before policies are compiled and locked.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use keyrelay_package::{Files, belongs, check_name};
use keyrelay_sandbox::{Digest, Lock, policy_files, read_policy};

use super::file::{read, unpack};

/// The files of a package to be.
pub(super) struct Contents(Files);

impl Contents {
    /// Reads the files of a folder or of a package that belong into a package.
    pub(super) fn read(base: &Path) -> anyhow::Result<Self> {
        let files = if base.is_dir() {
            folder(base)?
        } else {
            unpack(base)?
        };
        let mut contents = Self(
            files
                .into_iter()
                .filter(|(name, _)| belongs(name))
                .collect(),
        );
        ensure!(
            contents.get("host.json").is_some(),
            "there is no host.json in {}: name the folder of a function app, or a package of keyrelay",
            base.display()
        );
        if base.is_dir() {
            contents.check_lock(base)?;
        }
        contents.0.entry("keyrelay.toml".to_owned()).or_default();
        Ok(contents)
    }

    /// Adds all policies of a folder.
    pub(super) fn put_policies(&mut self, folder: &Path) -> anyhow::Result<()> {
        let files =
            policy_files(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        ensure!(
            !files.is_empty(),
            "there is no policy in {}: build them with `keyrelay build`",
            folder.display()
        );
        let mut put = Self(Files::new());
        for (name, file) in files {
            put.put(&format!("policies/{name}.wasm"), policy(&file)?);
        }
        let absolute = folder
            .canonicalize()
            .with_context(|| format!("cannot find {}", folder.display()))?;
        put.check_lock(absolute.parent().unwrap_or(&absolute))?;
        self.0.append(&mut put.0);
        Ok(())
    }

    pub(super) fn put(&mut self, name: &str, bytes: Vec<u8>) {
        self.0.insert(name.to_owned(), bytes);
    }

    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The files whose paths have this suffix, by the path without it.
    pub(super) fn ending<'a>(&'a self, end: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.0
            .iter()
            .filter_map(move |(name, bytes)| Some((name.strip_suffix(end)?, bytes.as_slice())))
    }

    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        for (name, bytes) in &self.0 {
            check_name(name)?;
            let file = folder.join(name);
            let parent = file.parent().unwrap_or(folder);
            let written = fs::create_dir_all(parent).and_then(|()| fs::write(&file, bytes));
            written.with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }

    /// Checks the policies against the lock of their folder, if it has one.
    fn check_lock(&self, folder: &Path) -> anyhow::Result<()> {
        let Some(lock) = Lock::read(folder)? else {
            return Ok(());
        };
        for (path, bytes) in self.ending(".wasm") {
            let name = path.trim_start_matches("policies/");
            let hint = format!(
                "review it, then lock it with `keyrelay lock {}`",
                folder.display()
            );
            match lock.get(name) {
                None => bail!("policies.lock does not know the policy {name}: {hint}"),
                Some(locked) if locked.digest != Digest::of(bytes) => {
                    bail!(
                        "the policy {name} is not the file that policies.lock vouches for: {hint}"
                    )
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn policy(file: &Path) -> anyhow::Result<Vec<u8>> {
    read_policy(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The files of a folder that may belong into a package.
fn folder(base: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    let words = |path: &Path| format!("cannot read {}", path.display());
    for entry in fs::read_dir(base).with_context(|| words(base))? {
        let path = entry.with_context(|| words(base))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if path.is_dir() {
            let function = path.join("function.json");
            if function.is_file() {
                files.insert(format!("{name}/function.json"), read(&function)?);
            }
        } else if belongs(name) {
            files.insert(name.to_owned(), read(&path)?);
        }
    }
    let policies = base.join("policies");
    if policies.is_dir() {
        for (name, file) in policy_files(&policies).with_context(|| words(&policies))? {
            files.insert(format!("policies/{name}.wasm"), policy(&file)?);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_written_outside_of_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("package");
        for name in ["../escaped", r"policies\..\..\escaped", "C:escaped"] {
            let mut contents = Contents(Files::new());
            contents.put(name, Vec::new());
            let error = contents.write(&folder).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}")), "{error}");
        }
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
    }
}
