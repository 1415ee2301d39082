//! Compares precompiled files with what their policies compile to.

use std::path::Path;

use crate::digest::Digest;
use crate::files::read_policy;
use crate::precompiled::{MachineCode, NotUsed, wrap};

/// The content of the precompiled file of a policy, which compiles to `code`.
pub(crate) fn content(policy: &[u8], code: &[u8]) -> Vec<u8> {
    wrap(Digest::of(policy), code)
}

/// Checks that a precompiled file has the locked digest, and that it is what the policy's file
/// compiles to: a lock that travels with the file proves nothing.
pub(crate) fn check(
    policy: &[u8],
    code: &[u8],
    file: &Path,
    locked: Digest,
) -> Result<(), NotUsed> {
    let found = read_policy(file).map_err(|error| NotUsed::Unreadable(error.to_string()))?;
    MachineCode::locked(Digest::of(policy), &found, locked)?;
    match content(policy, code) == found {
        true => Ok(()),
        false => Err(NotUsed::Foreign),
    }
}
