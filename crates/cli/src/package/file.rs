//! Reading and writing whole files.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Replaces a file atomically: writes a temporary file beside it and renames that.
pub(super) fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = file
        .file_name()
        .with_context(|| format!("{} is no file", file.display()))?;
    ensure!(
        !file.is_dir(),
        "{} is a folder: name a file",
        file.display()
    );
    let beside = file.with_file_name(format!(".{}.new", name.to_string_lossy()));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, file));
    written.with_context(|| format!("cannot write {}", file.display()))
}
