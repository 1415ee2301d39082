//! Reproducible zip files: the same input gives the same bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context, ensure};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::file::read;
use super::layout::{HOST, check_name};

/// The limit for the unpacked size of a package, in bytes.
const LARGEST: u64 = 512 << 20;

/// Packs a folder. Files are sorted by name and have the same timestamp; `keyrelay-host` is
/// executable.
pub(super) fn pack(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default());
    for (name, bytes) in files(folder, "")? {
        let mode = if name == HOST { 0o755 } else { 0o644 };
        let words = || format!("cannot pack {name}");
        writer
            .start_file(name.as_str(), options.unix_permissions(mode))
            .with_context(words)?;
        writer.write_all(&bytes).with_context(words)?;
    }
    Ok(writer.finish().context("cannot pack")?.into_inner())
}

fn files(folder: &Path, prefix: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        let name = format!(
            "{prefix}{}",
            path.file_name().unwrap_or_default().to_string_lossy()
        );
        if path.is_dir() {
            found.append(&mut files(&path, &format!("{name}/"))?);
        } else {
            found.insert(name, read(&path)?);
        }
    }
    Ok(found)
}

/// All files of a package. An entry that could be written outside of a folder makes it no package,
/// also where the entry would not be used.
pub(super) fn unpack(file: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let words = || format!("{} is neither a folder nor a package", file.display());
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut archive = ZipArchive::new(opened).with_context(words)?;
    let mut files = BTreeMap::new();
    let mut left = LARGEST;
    for number in 0..archive.len() {
        let entry = archive.by_index(number).with_context(words)?;
        let name = entry.name().with_context(words)?.into_owned();
        let refused = || format!("cannot unpack {}", file.display());
        check_name(&name).with_context(refused)?;
        ensure!(
            entry.enclosed_name().is_some(),
            "{}: the name {name:?} leads out of the folder",
            refused()
        );
        if entry.is_file() {
            let mut bytes = Vec::new();
            entry
                .take(left + 1)
                .read_to_end(&mut bytes)
                .with_context(|| format!("cannot unpack {name}"))?;
            left = left.saturating_sub(bytes.len() as u64);
            ensure!(
                left > 0,
                "{} has more than {} MiB in it",
                file.display(),
                LARGEST >> 20
            );
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that lead out of the folder of the package, on Windows at least.
    const OUTSIDE: [&str; 14] = [
        "../function.json",
        "policies/../../follow.wasm",
        "policies/..",
        "/tmp/function.json",
        "//server/share/function.json",
        "C:/function.json",
        "C:function.json",
        r"policies/C:\Windows\follow.wasm",
        r"policies/a\..\..\..\follow.wasm",
        r"..\function.json",
        r"\\server\share\function.json",
        r"\function.json",
        "policies/follow.wasm:stream",
        "policies/.. /follow.wasm",
    ];

    fn package(names: &[&str]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = ZipWriter::new(file.reopen().unwrap());
        for name in names {
            let options = SimpleFileOptions::default();
            writer.start_file(*name, options).unwrap();
            writer.write_all(b"{}").unwrap();
        }
        writer.finish().unwrap();
        file
    }

    #[test]
    fn a_package_with_a_name_that_leads_outside_is_refused() {
        for name in OUTSIDE {
            let file = package(&["host.json", name]);
            let error = match unpack(file.path()) {
                Ok(files) => panic!("{name} was unpacked: {:?}", files.keys()),
                Err(error) => format!("{error:#}"),
            };
            assert!(error.contains(&format!("{name:?}")), "{name}: {error}");
        }
    }

    #[test]
    fn a_package_of_keyrelay_is_unpacked() {
        let file = package(&["host.json", "SecretEvent/function.json", "policies/a.wasm"]);
        let files = unpack(file.path()).unwrap();
        let names: Vec<&String> = files.keys().collect();
        assert_eq!(
            names,
            ["SecretEvent/function.json", "host.json", "policies/a.wasm"]
        );
    }
}
