//! Reading and writing whole files, and packages of them.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, ensure};
use keyrelay_package::Files;

pub(super) fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// All files of a folder, and of those in it.
pub(super) fn read_all(folder: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    add(&mut files, folder, "")?;
    Ok(files)
}

fn add(files: &mut Files, folder: &Path, prefix: &str) -> anyhow::Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let name = format!(
            "{prefix}{}",
            path.file_name().unwrap_or_default().to_string_lossy()
        );
        if path.is_dir() {
            add(files, &path, &format!("{name}/"))?;
        } else {
            files.insert(name, read(&path)?);
        }
    }
    Ok(())
}

/// All files of a package.
pub(super) fn unpack(package: &Path) -> anyhow::Result<Files> {
    let opened =
        File::open(package).with_context(|| format!("cannot read {}", package.display()))?;
    keyrelay_package::unpack(opened).with_context(|| format!("cannot unpack {}", package.display()))
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
