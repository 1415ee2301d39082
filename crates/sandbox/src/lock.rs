//! `policies.lock`: the digests of the files that may run as policies.
//!
//! The file is beside `keyrelay.toml` and not in `policies/`. The right to add a policy, which is
//! sandboxed, must not imply the right to run machine code, which is not.
//!
//! It may be signed. A lock that travels with what it vouches for proves nothing by itself: who can
//! change the files can change it as well. A signature proves that the holder of a key has locked
//! these files.

mod signature;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use keyrelay_model::PublicKey;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::files::write_temporary;
use signature::Signature;
pub use signature::{KeyError, SigningKey};

/// The file's name.
pub const LOCK_FILE: &str = "policies.lock";

/// The format that this version writes. A reader refuses a higher one.
const FORMAT: u32 = 1;

const HEAD: &str = "# The policies that may run, by the digests of their files. Written by `keyrelay lock`; keep it with the sources.\n";

/// The first line of what is signed, so that no signature for another purpose fits.
const SIGNED: &str = "keyrelay policies.lock 1\n";

/// The files that may run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    policies: BTreeMap<String, Locked>,
    signatures: Vec<Signature>,
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
    /// The configuration needs a lock, and there is none.
    #[error("`{key}` in keyrelay.toml needs {}, which does not exist: write it with `keyrelay lock`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The key of the configuration.
        key: &'static str,
    },
    /// There is no valid signature by a key of the configuration.
    #[error(
        "{} is not signed by a key of `trusted_keys`: {reason}; sign it with `keyrelay lock --sign KEY`",
        path.display()
    )]
    NotTrusted {
        /// The file.
        path: PathBuf,
        /// What there is instead.
        reason: NotTrusted,
    },
}

/// The reason why the signatures of a lock are not enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTrusted {
    /// It has no signature.
    #[error("it has no signature")]
    Unsigned,
    /// It has signatures by other keys.
    #[error("it is signed by {0}")]
    OtherKey(PublicKey),
    /// It has changed since a trusted key signed it.
    #[error("it has changed since {0} signed it")]
    Changed(PublicKey),
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockContent {
    format: u32,
    #[serde(default, rename = "policy")]
    policies: Vec<LockEntry>,
    #[serde(default, rename = "signature")]
    signatures: Vec<SignatureEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockEntry {
    name: String,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    precompiled_sha256: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureEntry {
    key: String,
    ed25519: String,
}

impl Lock {
    /// Reads the lock that applies to the function app in a folder. It applies if it exists, unless
    /// the configuration says otherwise: `locked` demands or ignores it, and with `trusted_keys` one
    /// of these keys must have signed it.
    pub fn that_applies(
        folder: &Path,
        locked: Option<bool>,
        trusted_keys: &[PublicKey],
    ) -> Result<Option<Self>, LockError> {
        let path = || folder.join(LOCK_FILE);
        let key = match (locked, trusted_keys.is_empty()) {
            (_, false) => Some("trusted_keys"),
            (Some(false), true) => return Ok(None),
            (Some(true), true) => Some("locked"),
            (None, true) => None,
        };
        let lock = match (Self::read(folder)?, key) {
            (None, Some(key)) => return Err(LockError::Missing { path: path(), key }),
            (None, None) => return Ok(None),
            (Some(lock), _) => lock,
        };
        if !trusted_keys.is_empty()
            && let Err(reason) = lock.signer(trusted_keys)
        {
            return Err(LockError::NotTrusted {
                path: path(),
                reason,
            });
        }
        Ok(Some(lock))
    }

    /// Reads the lock in a folder. Returns `None` if there is none.
    pub fn read(folder: &Path) -> Result<Option<Self>, LockError> {
        let path = folder.join(LOCK_FILE);
        // A pipe or a device would not end.
        if path.metadata().is_ok_and(|it| !it.is_file()) {
            let reason = "it is not a regular file".to_owned();
            return Err(LockError::Invalid { path, reason });
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text)
                .map(Some)
                .map_err(|reason| LockError::Invalid { path, reason }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LockError::Read { path, source }),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let LockContent {
            format,
            policies,
            signatures,
        } = toml::from_str(text).map_err(|error| error.to_string())?;
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
        for SignatureEntry { key, ed25519 } in signatures {
            let key: PublicKey = key
                .parse()
                .map_err(|error| format!("a signature: {error}"))?;
            let signature = Signature::from_base64(key, &ed25519);
            let signature =
                signature.ok_or_else(|| format!("the signature by {key} is not base64"))?;
            lock.signatures.push(signature);
        }
        Ok(lock)
    }

    /// Signs the entries. A former signature by the same key is replaced.
    pub fn sign(&mut self, key: &SigningKey) {
        let signature = key.sign(&self.signed());
        self.signatures.retain(|it| it.key != signature.key);
        self.signatures.push(signature);
    }

    /// The first of the trusted keys that has signed the entries.
    pub fn signer(&self, trusted_keys: &[PublicKey]) -> Result<PublicKey, NotTrusted> {
        let is_trusted = |signature: &&Signature| trusted_keys.contains(&signature.key);
        let signed = self.signed();
        let mut by_trusted = self.signatures.iter().filter(is_trusted);
        if let Some(valid) = by_trusted.clone().find(|it| it.is_of(&signed)) {
            return Ok(valid.key);
        }
        Err(match (by_trusted.next(), self.signatures.first()) {
            (Some(changed), _) => NotTrusted::Changed(changed.key),
            (None, Some(other)) => NotTrusted::OtherKey(other.key),
            (None, None) => NotTrusted::Unsigned,
        })
    }

    /// Takes over the signatures of a former lock that still are valid: those of the same entries.
    pub fn keep_signatures(&mut self, former: Self) {
        let signed = self.signed();
        let valid = former.signatures.into_iter().filter(|it| it.is_of(&signed));
        self.signatures.extend(valid);
    }

    /// The keys whose signatures are in the lock, valid or not.
    pub fn keys(&self) -> impl Iterator<Item = PublicKey> {
        self.signatures.iter().map(|signature| signature.key)
    }

    /// What is signed: a line for each entry.
    fn signed(&self) -> Vec<u8> {
        let mut signed = SIGNED.to_owned();
        for (name, locked) in self.iter() {
            // Quoted, so that a name with a line break cannot be taken for two entries.
            let (name, digest) = (toml::Value::from(name), locked.digest);
            let precompiled = locked.precompiled.map(|digest| digest.to_string());
            let precompiled = precompiled.as_deref().unwrap_or("-");
            signed.push_str(&format!("{name} {digest} {precompiled}\n"));
        }
        signed.into_bytes()
    }

    /// Writes the lock into a folder, atomically.
    pub fn write(&self, folder: &Path) -> Result<(), LockError> {
        let path = folder.join(LOCK_FILE);
        let write = || {
            let file = write_temporary(folder, self.to_string().as_bytes())?;
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
        for signature in &self.signatures {
            let (key, ed25519) = (signature.key, signature.to_base64());
            write!(
                f,
                "\n[[signature]]\nkey = \"{key}\"\ned25519 = \"{ed25519}\"\n"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
