//! The function app of the demonstration: a copy, with a policy for the secret.

use std::path::{Path, PathBuf};

use anyhow::Context;
use keyrelay_model::PublicKey;
use keyrelay_sandbox::{Lock, Locked, SigningKey};

use super::SECRET;

/// The folder that holds the store of a function app.
pub(super) const STORE: &str = ".keyrelay";

/// The copy of a function app.
pub(super) struct CopiedApp {
    pub(super) root: PathBuf,
    /// The key that has signed the lock with the added policy.
    pub(super) trusted_key: Option<PublicKey>,
}

/// Copies the function app, and adds a policy for the secret: a copy of `pin` under the secret's
/// name.
pub(super) fn copy_of(app: &Path, folder: &Path) -> anyhow::Result<CopiedApp> {
    let copied = folder.join("app");
    copy_folder(app, &copied).with_context(|| {
        format!(
            "cannot copy the function app in `{}`: build it with `cargo xtask app`",
            app.display()
        )
    })?;
    let policies = copied.join("policies");
    std::fs::copy(
        policies.join("pin.wasm"),
        policies.join(format!("{SECRET}.wasm")),
    )
    .context("no policy `pin`")?;
    let mut trusted_key = None;
    // If the app has a lock, only the policies in it run.
    if let Some(mut lock) = Lock::read(&copied)? {
        let pin = lock
            .get("pin")
            .copied()
            .context("policies.lock does not know the policy `pin`")?;
        lock.insert(
            SECRET,
            Locked {
                precompiled: None,
                ..pin
            },
        );
        let (key, _) = SigningKey::generate()?;
        lock.sign(&key);
        lock.write(&copied)?;
        trusted_key = Some(key.public_key());
    }
    Ok(CopiedApp {
        root: copied,
        trusted_key,
    })
}

/// Copies a folder without the store that `keyrelay local` makes in it: its runs and its index are
/// about other apps.
fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() == STORE {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_function_app_is_copied_without_its_store() {
        let folder = tempfile::tempdir().unwrap();
        let app = folder.path().join("from");
        fs::create_dir_all(app.join("policies")).unwrap();
        fs::create_dir_all(app.join(".keyrelay/store")).unwrap();
        fs::write(app.join("policies/pin.wasm"), "pin").unwrap();
        let copied = copy_of(&app, folder.path()).unwrap().root;
        let policy = copied.join(format!("policies/{SECRET}.wasm"));
        assert_eq!(fs::read(policy).unwrap(), b"pin");
        assert!(!copied.join(".keyrelay").exists());
    }
}
