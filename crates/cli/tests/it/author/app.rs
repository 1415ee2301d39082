//! A function app to run the commands in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{Done, done};

/// A folder with two policies, and a case of one of them.
pub(super) struct App(pub(super) TempDir);

pub(super) const CASE: &str = r#"# A reference without a version is pinned.
[event]
secret = "sql"
version = "2"

[settings]
SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)"
PLAIN = "planted-value-plain"

[expect]
decision = "patch"

[expect.set]
SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql;SecretVersion=2)"
"#;

impl App {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policies = folder.path().join("policies");
        fs::create_dir_all(policies.join("pin/cases")).unwrap();
        for name in ["follow", "pin"] {
            let built =
                Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../policies/{name}.wasm"));
            assert!(
                fs::copy(&built, policies.join(format!("{name}.wasm"))).is_ok(),
                "run `cargo xtask policies`"
            );
        }
        fs::write(policies.join("pin/cases/pins.toml"), CASE).unwrap();
        Self(folder)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.file(name), content).unwrap();
    }

    pub(super) async fn run(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .kill_on_drop(true)
            .stdin(Stdio::null());
        done(command).await
    }

    /// Runs, expects success, and returns what was printed.
    pub(super) async fn good(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments).await;
        assert_eq!(done.code, Some(0), "{}{}", done.output, done.errors);
        done.output
    }

    /// Runs, expects that a rule or a check fails, and returns what was printed.
    pub(super) async fn bad(&self, arguments: &[&str]) -> String {
        self.ends(1, arguments).await
    }

    /// Runs, expects that this was called wrongly, and returns what was printed.
    pub(super) async fn usage_error(&self, arguments: &[&str]) -> String {
        self.ends(2, arguments).await
    }

    pub(super) async fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let done = self.run(arguments).await;
        assert_eq!(
            done.code,
            Some(code),
            "{arguments:?}: {}{}",
            done.output,
            done.errors
        );
        format!("{}{}", done.output, done.errors)
    }
}

/// The JSON of each line.
#[track_caller]
pub(super) fn rows(output: String) -> Vec<Value> {
    output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
