//! Compiles policies ahead of time, and compares precompiled files with that.

use std::path::Path;

use crate::digest::Digest;
use crate::engine::Compilers;
use crate::error::LoadError;
use crate::files::read_policy;
use crate::precompiled::{LockedCode, NotUsed, wrap};

/// Compiles a policy's file to the content of its precompiled file. Equal files give equal content.
pub(crate) fn compile(bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
    Ok(wrap(Digest::of(bytes), &Compilers::precompile(bytes)?))
}

/// Checks that a precompiled file has the locked digest, and that it is what the policy's file
/// compiles to: a lock that travels with the file proves nothing.
pub(crate) fn check(
    bytes: &[u8],
    file: &Path,
    locked: Digest,
) -> Result<Result<(), NotUsed>, LoadError> {
    let content = match read_policy(file) {
        Ok(content) => content,
        Err(error) => return Ok(Err(NotUsed::Unreadable(error.to_string()))),
    };
    if let Err(reason) = LockedCode::check(Digest::of(bytes), &content, locked) {
        return Ok(Err(reason));
    }
    let is_same = compile(bytes)? == content;
    Ok(if is_same {
        Ok(())
    } else {
        Err(NotUsed::Foreign)
    })
}
