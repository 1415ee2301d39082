//! Precompiled policies: `policies/<name>.cwasm` beside `policies/<name>.wasm`.
//!
//! Such a file is machine code. It is used only if its digest is locked, and only by the engine
//! that it was made for. Otherwise the policy is compiled again.

use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// The first bytes of a precompiled policy. The digest of the `.wasm` follows, then the output of
/// the engine.
const MAGIC: &[u8] = b"keyrelay precompiled policy 1\n";

/// The length of a digest, in bytes.
const DIGEST: usize = 32;

/// The reason why a precompiled policy was not used and the policy was compiled again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotUsed {
    /// Its digest is not locked.
    #[error("the precompiled file is not in `policies.lock`: make it with `keyrelay compile`")]
    NotLocked,
    /// The locked file is missing or cannot be read.
    #[error("the precompiled file that `policies.lock` names cannot be read: {0}")]
    Unreadable(String),
    /// Its digest is not the locked one.
    #[error("the precompiled file is not the one in `policies.lock`: its digest is {found}")]
    OtherDigest {
        /// The digest of the file.
        found: Digest,
    },
    /// It was compiled from another `.wasm`.
    #[error("the precompiled file was made from another version of the policy")]
    OtherPolicy,
    /// It is not what the `.wasm` compiles to.
    #[error(
        "the precompiled file is not what the `.wasm` compiles to on this machine: delete it, or \
         make it again with `keyrelay compile`"
    )]
    Foreign,
    /// It is not a file of the function app that runs.
    #[error("the precompiled file is outside of the function app")]
    OutsideApp,
    /// It was compiled by another engine, or for another processor.
    #[error("the precompiled file was made for another engine or processor: {0}")]
    OtherEngine(String),
}

/// The path of the precompiled form of a policy's file.
pub fn precompiled_file(wasm: &Path) -> PathBuf {
    wasm.with_extension("cwasm")
}

/// Prepends the header to the output of the engine.
pub(crate) fn wrap(policy: Digest, serialized: &[u8]) -> Vec<u8> {
    [MAGIC, &policy.into_bytes(), serialized].concat()
}

/// The output of the engine: machine code, which runs without further checks.
pub(crate) struct MachineCode<'a>(&'a [u8]);

impl<'a> MachineCode<'a> {
    /// What this program has just compiled.
    pub(crate) fn compiled(code: &'a [u8]) -> Self {
        Self(code)
    }

    /// Checks that a file is the precompiled form of the policy and has the locked digest.
    pub(crate) fn locked(policy: Digest, file: &'a [u8], locked: Digest) -> Result<Self, NotUsed> {
        let found = Digest::of(file);
        if found != locked {
            return Err(NotUsed::OtherDigest { found });
        }
        let parts = file
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.split_at_checked(DIGEST));
        match parts {
            Some((of, serialized)) if of == policy.into_bytes() => Ok(Self(serialized)),
            _ => Err(NotUsed::OtherPolicy),
        }
    }

    pub(crate) fn serialized(&self) -> &'a [u8] {
        self.0
    }
}
