//! Policies that were compiled ahead: `policies/<name>.cwasm` beside `policies/<name>.wasm`.
//!
//! Such a file is machine code. It is used only if the lock vouches for its digest, so only keyrelay's own work is, and
//! only by the engine that it was made for; else the policy is compiled again.

use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// How a precompiled policy begins. The digest of the `.wasm` follows, then what the engine wrote.
const MAGIC: &[u8] = b"keyrelay precompiled policy 1\n";

/// The length of a digest, in bytes.
const DIGEST: usize = 32;

/// Why a precompiled policy was not used, and the policy was compiled again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotUsed {
    /// The lock does not vouch for it.
    #[error(
        "`policies.lock` does not vouch for the precompiled file: make it with `keyrelay compile`"
    )]
    NotVouched,
    /// The lock vouches for a file that is not there.
    #[error("the precompiled file that `policies.lock` names cannot be read: {0}")]
    Unreadable(String),
    /// Not a bit of it may differ.
    #[error(
        "the precompiled file is not the one that `policies.lock` vouches for: its digest is {found}"
    )]
    OtherDigest {
        /// The digest of what is there.
        found: Digest,
    },
    /// It was made of another `.wasm`.
    #[error("the precompiled file was made of another version of the policy")]
    OtherPolicy,
    /// It was made by another engine, or for another processor.
    #[error("the precompiled file was made for another engine or processor: {0}")]
    OtherEngine(String),
}

/// Where the precompiled form of a policy's file lies.
pub fn precompiled_file(wasm: &Path) -> PathBuf {
    wasm.with_extension("cwasm")
}

/// Puts the digest of the `.wasm` before what the engine wrote.
pub(crate) fn wrap(policy: Digest, serialized: &[u8]) -> Vec<u8> {
    [MAGIC, &policy.into_bytes(), serialized].concat()
}

/// What the engine wrote, in a file that the lock vouches for.
pub(crate) struct Vouched<'a>(&'a [u8]);

impl<'a> Vouched<'a> {
    /// Checks that a file is the precompiled form of the policy, and has the digest that the lock vouches for.
    pub(crate) fn check(policy: Digest, file: &'a [u8], vouched: Digest) -> Result<Self, NotUsed> {
        let found = Digest::of(file);
        if found != vouched {
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
