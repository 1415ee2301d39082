//! Signing keys: their files, and the signatures of a lock.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context;
use keyrelay_sandbox::{Lock, SigningKey};

use crate::out;
use crate::usage_error::OrUsageError;

/// The name of a file that stands for standard input.
const STDIN: &str = "-";

/// Whether a key is read from standard input.
fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == STDIN
}

/// Reads the key that an option names, if it does.
pub(crate) fn given(file: Option<&Path>) -> anyhow::Result<Option<SigningKey>> {
    file.map(read).transpose()
}

/// Reads the key that signs.
pub(crate) fn read(file: &Path) -> anyhow::Result<SigningKey> {
    let pem = match is_stdin(file) {
        true => {
            let mut pem = String::new();
            let read = std::io::stdin().read_to_string(&mut pem);
            read.context("cannot read a key from standard input")?;
            pem
        }
        false => fs::read_to_string(file)
            .with_context(|| format!("cannot read the key {}", file.display()))
            .or_usage_error()?,
    };
    let key = SigningKey::from_pem(&pem);
    key.with_context(|| format!("{} is not a key", file.display()))
        .or_usage_error()
}

/// Writes a new key to a file that does not exist yet, and that only its owner can read.
pub(crate) fn create(file: &Path) -> anyhow::Result<SigningKey> {
    let (key, pem) = SigningKey::generate()?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut created = options
        .open(file)
        .with_context(|| format!("cannot create {}", file.display()))
        .or_usage_error()?;
    created
        .write_all(pem.as_bytes())
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(key)
}

/// Signs a lock that was made again, or keeps the signatures of the former one if it has the same
/// policies.
pub(crate) fn sign(lock: &mut Lock, app: &Path, key: Option<&SigningKey>) {
    // A lock that cannot be read is written again.
    let former = Lock::read(app).ok().flatten().unwrap_or_default();
    let were_signed: Vec<_> = former.keys().collect();
    lock.keep_signatures(former);
    if let Some(key) = key {
        lock.sign(key);
        out::note(&format!("signed by {}", key.public_key()));
    }
    for key in were_signed {
        if lock.keys().all(|kept| kept != key) {
            out::warning(&format!(
                "the signature by {key} is gone, because the lock has other entries now: sign it with `--sign KEY`"
            ));
        }
    }
}
