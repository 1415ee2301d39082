//! `policies.lock`: the digests of the files that may run as policies.
//!
//! The file is beside `keyrelay.toml` and not in `policies/`. The right to add a policy, which is
//! sandboxed, must not imply the right to run machine code, which is not.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The file's name.
pub const LOCK_FILE: &str = "policies.lock";

/// The format that this version writes. A reader refuses a higher one.
const FORMAT: u32 = 1;

const HEAD: &str = "# The policies that may run, by the digests of their files. Written by `keyrelay lock`; keep it with the sources.\n";

/// The files that may run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    policies: BTreeMap<String, Locked>,
}

/// One policy that may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locked {
    /// The digest of its `.wasm`.
    pub digest: Digest,
    /// The digest of the `.cwasm` that keyrelay compiled from it. A file with this digest runs as
    /// machine code.
    pub precompiled: Option<Digest>,
}

/// An error from reading or writing the lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is not one that `keyrelay lock` wrote.
    #[error("{} is not valid, write it again with `keyrelay lock`: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The first problem.
        reason: String,
    },
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockContent {
    format: u32,
    #[serde(default, rename = "policy")]
    policies: Vec<LockEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockEntry {
    name: String,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    precompiled_sha256: Option<String>,
}

impl Lock {
    /// Reads the lock in a folder. Returns `None` if there is none.
    pub fn read(folder: &Path) -> Result<Option<Self>, LockError> {
        let path = folder.join(LOCK_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text)
                .map(Some)
                .map_err(|reason| LockError::Invalid { path, reason }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LockError::Read { path, source }),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let LockContent { format, policies } =
            toml::from_str(text).map_err(|error| error.to_string())?;
        if format != FORMAT {
            return Err(format!(
                "it has format {format}, this keyrelay supports {FORMAT}"
            ));
        }
        let mut lock = Self::default();
        for LockEntry {
            name,
            sha256,
            precompiled_sha256,
        } in policies
        {
            let digest = |text: &str| {
                text.parse::<Digest>()
                    .map_err(|error| format!("policy `{name}`: {error}"))
            };
            let locked = Locked {
                digest: digest(&sha256)?,
                precompiled: precompiled_sha256.as_deref().map(digest).transpose()?,
            };
            if lock.policies.insert(name.clone(), locked).is_some() {
                return Err(format!("policy `{name}` is listed twice"));
            }
        }
        Ok(lock)
    }

    /// Writes the lock into a folder, atomically.
    pub fn write(&self, folder: &Path) -> Result<(), LockError> {
        let path = folder.join(LOCK_FILE);
        let write = || {
            let mut file = readable_by_all().tempfile_in(folder)?;
            file.write_all(self.to_string().as_bytes())?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|source| LockError::Write {
            path: path.clone(),
            source,
        })
    }

    /// The entry of a policy.
    pub fn get(&self, name: &str) -> Option<&Locked> {
        self.policies.get(name)
    }

    /// Adds the entry of a policy, or replaces it.
    pub fn insert(&mut self, name: &str, locked: Locked) {
        self.policies.insert(name.to_owned(), locked);
    }

    /// All entries, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Locked)> {
        self.policies
            .iter()
            .map(|(name, locked)| (name.as_str(), locked))
    }
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{HEAD}format = {FORMAT}")?;
        for (
            name,
            Locked {
                digest,
                precompiled,
            },
        ) in &self.policies
        {
            // A name may contain every character that a file's name may.
            let name = toml::Value::from(name.as_str());
            write!(f, "\n[[policy]]\nname = {name}\nsha256 = \"{digest}\"\n")?;
            if let Some(precompiled) = precompiled {
                writeln!(f, "precompiled_sha256 = \"{precompiled}\"")?;
            }
        }
        Ok(())
    }
}

/// A temporary file that others can read. keyrelay-host may run as another user.
fn readable_by_all() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let mut lock = Lock::default();
        lock.insert(
            "follow",
            Locked {
                digest: Digest::of(b"1"),
                precompiled: Some(Digest::of(b"2")),
            },
        );
        lock.insert(
            "an \"odd\" name",
            Locked {
                digest: Digest::of(b"3"),
                precompiled: None,
            },
        );
        lock
    }

    #[test]
    fn a_written_lock_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Lock::read(folder.path()).unwrap(), None);
        lock().write(folder.path()).unwrap();
        assert_eq!(Lock::read(folder.path()).unwrap(), Some(lock()));
    }

    #[cfg(unix)]
    #[test]
    fn the_host_can_read_the_lock_as_another_user() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, "").unwrap();
        lock().write(folder.path()).unwrap();
        let mode = |file: &Path| file.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&folder.path().join(LOCK_FILE)), mode(&other) & !0o022);
    }

    #[track_caller]
    fn check(text: &str, reason: &str) {
        let error = Lock::parse(text).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn an_invalid_lock_is_refused() {
        check("", "format");
        check("format = 2", "format 2");
        check("format = 1\nother = 1", "other");
        check(
            "format = 1\n[[policy]]\nname = \"a\"\nsha256 = \"12\"",
            "policy `a`",
        );
        let entry = format!(
            "[[policy]]\nname = \"a\"\nsha256 = \"{}\"\n",
            Digest::of(b"")
        );
        check(&format!("format = 1\n{entry}{entry}"), "twice");
    }
}
