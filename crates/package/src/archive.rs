//! Reproducible zip files: the same input gives the same bytes.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, Write as _};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::layout::{HOST, UnsafeName, check_name};

/// The limit for the unpacked size of a package, in bytes.
const MAX_UNPACKED_BYTES: u64 = 512 << 20;

/// Files by path, with `/` as the separator.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A package cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot pack {name}")]
pub struct PackError {
    name: String,
    source: ZipError,
}

/// An error from reading a package.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is not a zip file.
    #[error("it is neither a folder nor a package")]
    NotAPackage(#[from] ZipError),
    /// An entry could be written outside of a folder.
    #[error(transparent)]
    Name(#[from] UnsafeName),
    /// An entry cannot be unpacked.
    #[error("cannot unpack {name}")]
    Entry {
        /// The entry.
        name: String,
        /// The reason.
        source: io::Error,
    },
    /// The files are too large together.
    #[error("it has more than {} MiB in it", MAX_UNPACKED_BYTES >> 20)]
    TooLarge,
}

/// Packs files. They are sorted by name and have the same timestamp; `keyrelay-host` is executable.
pub fn pack(files: &Files) -> Result<Vec<u8>, PackError> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default());
    for (name, bytes) in files {
        let mode = if name == HOST { 0o755 } else { 0o644 };
        let failed = |source| PackError {
            name: name.clone(),
            source,
        };
        writer
            .start_file(name.as_str(), options.unix_permissions(mode))
            .map_err(failed)?;
        writer
            .write_all(bytes)
            .map_err(|error| failed(error.into()))?;
    }
    let packed = writer.finish().map_err(|source| PackError {
        name: "the list of files".to_owned(),
        source,
    })?;
    Ok(packed.into_inner())
}

/// All files of a package. An entry that could be written outside of a folder makes it no package,
/// also where the entry would not be used.
pub fn unpack(package: impl Read + Seek) -> Result<Files, UnpackError> {
    let mut archive = ZipArchive::new(package)?;
    let mut files = Files::new();
    let mut left = MAX_UNPACKED_BYTES;
    for number in 0..archive.len() {
        let entry = archive.by_index(number)?;
        let name = entry.name()?.into_owned();
        check_name(&name)?;
        if entry.enclosed_name().is_none() {
            return Err(UnsafeName(name).into());
        }
        if entry.is_file() {
            let mut bytes = Vec::new();
            if let Err(source) = entry.take(left + 1).read_to_end(&mut bytes) {
                return Err(UnpackError::Entry { name, source });
            }
            left = left.saturating_sub(bytes.len() as u64);
            if left == 0 {
                return Err(UnpackError::TooLarge);
            }
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

    fn package(names: &[&str]) -> Cursor<Vec<u8>> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for name in names {
            let options = SimpleFileOptions::default();
            writer.start_file(*name, options).unwrap();
            writer.write_all(b"{}").unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn a_package_with_a_name_that_leads_outside_is_refused() {
        for name in OUTSIDE {
            let error = match unpack(package(&["host.json", name])) {
                Ok(files) => panic!("{name} was unpacked: {:?}", files.keys()),
                Err(error) => error.to_string(),
            };
            assert!(error.contains(&format!("{name:?}")), "{name}: {error}");
        }
    }

    #[test]
    fn a_package_of_keyrelay_is_unpacked() {
        let names = ["host.json", "SecretEvent/function.json", "policies/a.wasm"];
        let files = unpack(package(&names)).unwrap();
        let names: Vec<&String> = files.keys().collect();
        assert_eq!(
            names,
            ["SecretEvent/function.json", "host.json", "policies/a.wasm"]
        );
    }
}
