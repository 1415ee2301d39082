//! Signed locks, from the key to the check.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{Done, done};

/// A function app with the policy `follow`, and a key.
struct Signer {
    app: TempDir,
    public_key: String,
}

impl Signer {
    async fn new() -> Self {
        let app = tempfile::tempdir().unwrap();
        fs::create_dir(app.path().join("policies")).unwrap();
        fs::write(app.path().join("keyrelay.toml"), "").unwrap();
        let mut signer = Self {
            app,
            public_key: String::new(),
        };
        signer.put("follow", "follow");
        signer.public_key = signer.ok(&["key", "new", "signing.pem"]).await;
        signer
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.app.path().join(name)
    }

    /// Puts a shipped policy into the app, under a name.
    fn put(&self, policy: &str, name: &str) {
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
        let to = self.file("policies").join(format!("{name}.wasm"));
        fs::copy(policies.join(format!("{policy}.wasm")), to).unwrap();
    }

    fn trust(&self, key: &str) {
        let trusted = format!("trusted_keys = [\"{key}\"]\n");
        fs::write(self.file("keyrelay.toml"), trusted).unwrap();
    }

    async fn run(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
        command.args(arguments).current_dir(self.app.path());
        done(command).await
    }

    async fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.errors);
        ended.output.trim().to_owned()
    }

    async fn fails(&self, arguments: &[&str], code: i32, reason: &str) {
        let ended = self.run(arguments).await;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.errors);
        let said = format!("{}{}", ended.output, ended.errors);
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn a_lock_is_signed_and_checked() {
    let signer = Signer::new().await;
    signer.trust(&signer.public_key);
    signer.ok(&["lock"]).await;
    signer
        .fails(&["lock", "--check"], 1, "it has no signature")
        .await;
    signer.fails(&["inspect"], 1, "it has no signature").await;
    signer.ok(&["lock", "--sign", "signing.pem"]).await;
    signer.ok(&["lock", "--check"]).await;
    signer.ok(&["inspect"]).await;
    // The same policies: the signature stays.
    signer.ok(&["lock"]).await;
    signer.ok(&["lock", "--check"]).await;
    // The key may be given at the check, where keyrelay.toml is not to be trusted.
    let key = signer.public_key.clone();
    signer.ok(&["lock", "--check", "--trusted-key", &key]).await;
}

#[tokio::test]
async fn another_policy_ends_the_signature() {
    let signer = Signer::new().await;
    signer.trust(&signer.public_key);
    signer.ok(&["lock", "--sign", "signing.pem"]).await;
    signer.put("pin", "follow");
    let locked = signer.run(&["lock"]).await;
    assert_eq!(locked.code, Some(0), "{}", locked.errors);
    let gone = format!("the signature by {} is gone", signer.public_key);
    assert!(locked.errors.contains(&gone), "{}", locked.errors);
    signer
        .fails(&["lock", "--check"], 1, "it has no signature")
        .await;
}

#[tokio::test]
async fn a_signature_by_another_key_or_for_other_entries_is_not_enough() {
    let signer = Signer::new().await;
    let other = signer.ok(&["key", "new", "other.pem"]).await;
    signer.trust(&other);
    signer.ok(&["compile", "--sign", "signing.pem"]).await;
    let by = format!("it is signed by {}", signer.public_key);
    signer.fails(&["lock", "--check"], 1, &by).await;
    signer.trust(&signer.public_key);
    signer.ok(&["lock", "--check"]).await;
    let lock = fs::read_to_string(signer.file("policies.lock")).unwrap();
    let forged = lock.replace("name = \"follow\"", "name = \"sql\"");
    fs::write(signer.file("policies.lock"), forged).unwrap();
    signer.put("follow", "sql");
    fs::remove_file(signer.file("policies/follow.wasm")).unwrap();
    signer
        .fails(&["lock", "--check"], 1, "it has changed since")
        .await;
}

#[tokio::test]
async fn keys_are_private_and_are_not_overwritten() {
    let signer = Signer::new().await;
    signer
        .fails(
            &["key", "new", "signing.pem"],
            2,
            "cannot create signing.pem",
        )
        .await;
    let shown = signer.ok(&["key", "show", "signing.pem"]).await;
    assert_eq!(shown, signer.public_key);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = fs::metadata(signer.file("signing.pem")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
    fs::write(signer.file("not.pem"), "planted-value-1").unwrap();
    signer
        .fails(&["key", "show", "not.pem"], 2, "not.pem is not a key")
        .await;
    let said = signer.run(&["lock", "--sign", "not.pem"]).await;
    assert_eq!(said.code, Some(2), "{}", said.errors);
    assert!(!said.errors.contains("planted-value-1"), "{}", said.errors);
    assert!(!signer.file("policies.lock").exists());
}
