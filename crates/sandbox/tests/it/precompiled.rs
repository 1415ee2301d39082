//! Machine code is used only if its digest is locked.

use std::fs;
use std::path::PathBuf;

use keyrelay_sandbox::{
    AppSandbox, Compilation, Digest, InvalidFile, LoadError, Loaded, Locked, NotUsed, Sandbox,
    precompiled_file,
};
use tempfile::TempDir;

use crate::guest::Guest;

/// The length of the header of a precompiled file, in bytes: a line, and the digest of the `.wasm`.
const HEADER: usize = 30 + 32;

/// A policy in a folder, with its precompiled form and its lock entry.
struct Precompiled {
    sandbox: Sandbox,
    folder: TempDir,
    wasm: PathBuf,
    locked: Locked,
}

impl Precompiled {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let wasm = folder.path().join("policy.wasm");
        let bytes = Guest::refreshing().module();
        fs::write(&wasm, &bytes).unwrap();
        let sandbox = Sandbox::new(Compilation::InProcess).unwrap();
        let compiled = sandbox.precompile(&wasm).await.unwrap();
        fs::write(precompiled_file(&wasm), &compiled).unwrap();
        let locked = Locked {
            digest: Digest::of(&bytes),
            precompiled: Some(Digest::of(&compiled)),
        };
        Self {
            sandbox,
            folder,
            wasm,
            locked,
        }
    }

    /// Loads it as the host does whose function app is in this folder.
    async fn load(&self) -> Loaded {
        AppSandbox::new(self.folder.path(), Compilation::InProcess)
            .unwrap()
            .load_locked(&self.wasm, self.locked)
            .await
            .unwrap()
    }

    fn compiled(&self) -> Vec<u8> {
        fs::read(precompiled_file(&self.wasm)).unwrap()
    }

    fn replace_compiled(&self, bytes: &[u8]) {
        fs::write(precompiled_file(&self.wasm), bytes).unwrap();
    }
}

#[tokio::test]
async fn a_locked_file_is_used() {
    let policy = Precompiled::new().await;
    let loaded = policy.load().await;
    assert_eq!(loaded.not_used, None);
    assert_eq!(loaded.policy.digest(), policy.locked.digest);
    assert_eq!(loaded.policy.name(), "policy");
}

#[tokio::test]
async fn a_policy_takes_the_memory_of_its_machine_code() {
    let policy = Precompiled::new().await;
    let code = policy.compiled().len() - HEADER;
    assert_eq!(policy.load().await.policy.memory(), code);
}

#[tokio::test]
async fn another_process_uses_it_too() {
    let policy = Precompiled::new().await;
    for _ in 0..2 {
        assert!(policy.load().await.was_precompiled);
    }
}

#[tokio::test]
async fn the_code_of_another_folder_is_not_run() {
    let policy = Precompiled::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let host = AppSandbox::new(elsewhere.path(), Compilation::InProcess).unwrap();
    let link = elsewhere.path().join("policy.wasm");
    std::os::unix::fs::symlink(&policy.wasm, &link).unwrap();
    std::os::unix::fs::symlink(precompiled_file(&policy.wasm), precompiled_file(&link)).unwrap();
    for file in [&policy.wasm, &link] {
        let loaded = host.load_locked(file, policy.locked).await.unwrap();
        assert_eq!(loaded.not_used, Some(NotUsed::OutsideApp));
        assert!(!loaded.was_precompiled);
    }
}

#[tokio::test]
async fn foreign_code_is_found_by_compiling_again_even_if_the_lock_vouches_for_it() {
    let mut policy = Precompiled::new().await;
    let checked = policy.sandbox.check_locked(&policy.wasm, policy.locked);
    let checked = checked.await.unwrap();
    assert!(checked.is_precompiled, "{:?}", checked.not_used);

    // The header of the policy, and the code of another one.
    let other = policy.wasm.with_file_name("other.wasm");
    fs::write(&other, Guest::deciding("unreachable").module()).unwrap();
    let code = policy.sandbox.precompile(&other).await.unwrap();
    let header = policy.compiled()[..HEADER].to_vec();
    let foreign = [&header, &code[HEADER..]].concat();
    policy.replace_compiled(&foreign);
    policy.locked.precompiled = Some(Digest::of(&foreign));
    let checked = policy.sandbox.check_locked(&policy.wasm, policy.locked);
    let checked = checked.await.unwrap();
    assert_eq!(checked.not_used, Some(NotUsed::Foreign));
    assert!(!checked.is_precompiled);
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_refused_and_the_policy_is_compiled_again() {
    let policy = Precompiled::new().await;
    let good = policy.compiled();
    // Compiling is slow, so only some positions are tested.
    for place in (0..good.len())
        .step_by(good.len() / 40)
        .chain([good.len() - 1])
    {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        policy.replace_compiled(&bad);
        let not_used = policy.load().await.not_used;
        assert!(
            matches!(not_used, Some(NotUsed::OtherDigest { .. })),
            "{place}: {not_used:?}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_not_locked_is_not_used() {
    let mut policy = Precompiled::new().await;
    policy.locked.precompiled = None;
    assert_eq!(policy.load().await.not_used, Some(NotUsed::NotLocked));
}

#[tokio::test]
async fn a_missing_file_is_reported() {
    let policy = Precompiled::new().await;
    fs::remove_file(precompiled_file(&policy.wasm)).unwrap();
    assert!(matches!(
        policy.load().await.not_used,
        Some(NotUsed::Unreadable(_))
    ));
}

#[tokio::test]
async fn the_precompiled_form_of_another_policy_is_not_used_even_if_the_lock_says_so() {
    let mut policy = Precompiled::new().await;
    let other = policy.wasm.with_file_name("other.wasm");
    fs::write(&other, Guest::deciding("unreachable").module()).unwrap();
    let compiled = policy.sandbox.precompile(&other).await.unwrap();
    policy.replace_compiled(&compiled);
    policy.locked.precompiled = Some(Digest::of(&compiled));
    assert_eq!(policy.load().await.not_used, Some(NotUsed::OtherPolicy));
}

#[tokio::test]
async fn what_another_engine_made_is_not_used() {
    let mut policy = Precompiled::new().await;
    // The version in the engine's own header.
    let mut compiled = policy.compiled();
    let engine = compiled
        .windows(2)
        .position(|two| two == b"48")
        .map_or(0, |place| place);
    assert!(engine > 0, "the engine's version is in the file");
    compiled[engine] = b'3';
    policy.replace_compiled(&compiled);
    policy.locked.precompiled = Some(Digest::of(&compiled));
    let not_used = policy.load().await.not_used;
    assert!(
        matches!(not_used, Some(NotUsed::OtherEngine(_))),
        "{not_used:?}"
    );
}

#[tokio::test]
async fn a_policy_that_the_lock_does_not_know_is_refused() {
    let policy = Precompiled::new().await;
    let other = Locked {
        digest: Digest::of(b"other"),
        precompiled: None,
    };
    let error = policy
        .sandbox
        .check_locked(&policy.wasm, other)
        .await
        .unwrap_err();
    assert!(
        matches!(error, LoadError::NotLocked { found } if found == policy.locked.digest),
        "{error:?}"
    );
    assert!(error.to_string().contains("keyrelay lock"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_a_policy_is_not_precompiled() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.wasm");
    fs::write(&file, "broken").unwrap();
    let error = Sandbox::new(Compilation::InProcess)
        .unwrap()
        .precompile(&file)
        .await
        .unwrap_err();
    assert!(
        matches!(error, LoadError::File(InvalidFile::NotWebAssembly)),
        "{error:?}"
    );
}
