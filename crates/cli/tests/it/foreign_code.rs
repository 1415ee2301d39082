//! Machine code of the folder that a command looks at: no command runs it, and those that lock the
//! policies refuse it.

use std::fs;
use std::path::Path;

use keyrelay_sandbox::{Compilation, Digest, Lock, Locked, Sandbox, precompiled_file};
use tokio::process::Command;

use crate::harness::{Done, done};

/// The length of the header of a precompiled file, in bytes: a line, and the digest of the `.wasm`.
const HEADER: usize = 30 + 32;

/// A function app with the policy `follow` and the machine code of `pin`, in a precompiled file with
/// the header of `follow`, and a lock that vouches for both.
async fn app() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    fs::create_dir(folder.path().join("policies")).unwrap();
    fs::write(folder.path().join("keyrelay.toml"), "").unwrap();
    let follow = folder.path().join("policies/follow.wasm");
    fs::copy(policies.join("follow.wasm"), &follow).unwrap();
    let sandbox = Sandbox::new(Compilation::InProcess).unwrap();
    let header = sandbox.precompile(&follow).await.unwrap();
    let code = sandbox
        .precompile(&policies.join("pin.wasm"))
        .await
        .unwrap();
    let foreign = [&header[..HEADER], &code[HEADER..]].concat();
    fs::write(precompiled_file(&follow), &foreign).unwrap();
    let mut lock = Lock::default();
    lock.insert(
        "follow",
        Locked {
            digest: Digest::of(&fs::read(&follow).unwrap()),
            precompiled: Some(Digest::of(&foreign)),
        },
    );
    lock.write(folder.path()).unwrap();
    folder
}

async fn run(folder: &Path, arguments: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
    command.args(arguments).current_dir(folder);
    done(command).await
}

#[tokio::test]
async fn a_lock_that_vouches_for_foreign_code_is_not_up_to_date_and_is_not_written_again() {
    let app = app().await;
    let file = app.path().join("policies.lock");
    let before = fs::read_to_string(&file).unwrap();
    let checked = run(app.path(), &["lock", "--check"]).await;
    assert_eq!(checked.code, Some(1), "{}", checked.errors);
    let is_named = "follow.cwasm is not what follow.wasm compiles to";
    assert!(checked.errors.contains(is_named), "{}", checked.errors);
    let written = run(app.path(), &["lock"]).await;
    assert_eq!(written.code, Some(1), "{}", written.errors);
    let is_named = "policies/follow.cwasm is not what policies/follow.wasm compiles to";
    assert!(written.errors.contains(is_named), "{}", written.errors);
    assert_eq!(fs::read_to_string(&file).unwrap(), before);

    // Compiled again, it is locked and up to date.
    assert_eq!(run(app.path(), &["compile"]).await.code, Some(0));
    assert_eq!(run(app.path(), &["lock", "--check"]).await.code, Some(0));
    assert_eq!(run(app.path(), &["lock"]).await.code, Some(0));
    let lock = Lock::read(app.path()).unwrap().unwrap();
    assert!(lock.get("follow").unwrap().precompiled.is_some());
}

#[tokio::test]
async fn commands_that_look_at_a_folder_run_none_of_its_code() {
    let app = app().await;
    let inspected = run(app.path(), &["inspect", "policies/follow.wasm"]).await;
    assert_eq!(inspected.code, Some(0), "{}", inspected.errors);
    let output = &inspected.output;
    // What `pin` says about itself would be another summary.
    assert!(output.contains("Follows the secret"), "{output}");
    assert!(!output.contains("Pins every reference"), "{output}");
    assert!(
        output.contains("not what the `.wasm` compiles to"),
        "{output}"
    );
    let doctor = run(app.path(), &["doctor", "--json"]).await;
    let output = format!("{}{}", doctor.output, doctor.errors);
    assert!(
        output.contains("not what the `.wasm` compiles to"),
        "{output}"
    );
    assert_ne!(doctor.code, Some(0), "{output}");
}
