//! The files of a policy folder.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::digest::Digest;
use crate::error::LoadError;

/// The size of the largest policy file that is loaded, in bytes. A component built from Python has
/// 18 MB.
pub(crate) const LARGEST_FILE: u64 = 64 << 20;

/// The policy files of a folder, with the names of the policies. The name is the file's name
/// without `.wasm`. Ignores other files, hidden files and folders.
pub fn policy_files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some(name) = policy_name(&path)
            && !path.is_dir()
        {
            files.push((name, path));
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a policy's file. A file that is too large is truncated at one byte more than the limit, so
/// that the caller detects it.
pub fn read_policy(file: &Path) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    let mut file = open_policy(file)?;
    file.read_to_end(&mut bytes).map_err(LoadError::Read)?;
    Ok(bytes)
}

/// The digest of a policy's file, which is not kept in memory. That of a file that is too large is
/// the digest of its beginning, as [`read_policy`] returns it.
pub fn policy_digest(file: &Path) -> Result<Digest, LoadError> {
    Digest::of_reader(open_policy(file)?).map_err(LoadError::Read)
}

fn open_policy(file: &Path) -> Result<impl Read, LoadError> {
    // Opening a pipe would block until it has a writer.
    if !file.metadata().map_err(LoadError::Read)?.is_file() {
        return Err(LoadError::NotAFile);
    }
    let file = File::open(file).map_err(LoadError::Read)?;
    Ok(file.take(LARGEST_FILE + 1))
}

/// Writes a file under a temporary, hidden name, to be renamed. Others can read it, because
/// keyrelay-host may run as another user.
pub fn write_temporary(folder: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(content)?;
    Ok(file)
}

fn policy_name(path: &Path) -> Option<String> {
    let file_name = path.file_name()?.to_string_lossy();
    let name = file_name.strip_suffix(".wasm")?;
    (!name.is_empty() && !name.starts_with('.')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_policies_by_name_and_ignores_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "pin.wasm",
            "follow.wasm",
            ".hidden.wasm",
            ".wasm",
            "new.wasm.tmp",
            "README.md",
            "sql.cwasm",
        ] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        fs::create_dir(folder.path().join("folder.wasm")).unwrap();
        let names: Vec<String> = policy_files(folder.path())
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["follow", "pin"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(policy_files(&folder.path().join("policies")).is_err());
    }
}
