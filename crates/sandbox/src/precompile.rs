//! Compares precompiled files with what their policies compile to.

use std::path::Path;

use crate::digest::Digest;
use crate::files::read_policy;
use crate::precompiled::{MachineCode, NotUsed, wrap};

/// Checks that a precompiled file has the locked digest, and that it is what the policy compiles to,
/// `code`: a lock that travels with the file proves nothing.
pub(crate) fn check(
    policy: Digest,
    code: &[u8],
    file: &Path,
    locked: Digest,
) -> Result<(), NotUsed> {
    let found = read_policy(file).map_err(|error| NotUsed::Unreadable(error.to_string()))?;
    MachineCode::locked(policy, &found, locked)?;
    match wrap(policy, code) == found {
        true => Ok(()),
        false => Err(NotUsed::Foreign),
    }
}
