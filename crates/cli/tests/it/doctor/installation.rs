//! An installation in the stand-in for Azure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use keyrelay_local_azure::functions_host::FunctionsHostOptions;
use keyrelay_local_azure::{LocalAzure, LocalAzureOptions, World};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{Done, done, done_within};

pub(crate) const ROLE: &str = r#"
[[role]]
identity = "keyrelay"
actions = [
    "Microsoft.Web/sites/Read", "Microsoft.Web/sites/slots/Read",
    "Microsoft.Web/sites/config/Read", "Microsoft.Web/sites/slots/config/Read",
    "Microsoft.Web/sites/config/*/action", "Microsoft.Web/sites/slots/config/*/action",
    "Microsoft.Web/sites/config/Write", "Microsoft.Web/sites/slots/config/Write",
    "Microsoft.Authorization/permissions/read", "Microsoft.EventGrid/*/read",
]
"#;

pub(crate) const WORLD: &str = r#"
subscription = "00000000-0000-0000-0000-000000000001"

[[vault]]
name = "contoso-kv"
resource_group = "shop"
secrets = { sql = "planted-value-1" }

[[site]]
name = "orders"
resource_group = "shop"
settings = { SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)", PLAIN = "planted-value-2" }

[[site.slot]]
name = "staging"
settings = { SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)" }

[[site]]
name = "keyrelay"
resource_group = "shop"
"#;

/// An installation, in which a test breaks one thing.
pub(crate) struct Installation {
    pub(crate) folder: TempDir,
    pub(crate) azure: LocalAzure,
    /// Environment variables that are added, or removed.
    pub(crate) variables: Vec<(&'static str, Option<String>)>,
}

impl Installation {
    pub(crate) async fn new(world: &str) -> Self {
        Self::with(world, |_| {}).await
    }

    /// `prepare` changes the function app before it is started.
    pub(crate) async fn with(world: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = folder.path();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for file in [
            "host.json",
            "SecretEvent/function.json",
            "Reconcile/function.json",
        ] {
            fs::create_dir_all(app.join(file).parent().unwrap()).unwrap();
            fs::copy(root.join(file), app.join(file)).unwrap();
        }
        let host = PathBuf::from(env!("CARGO_BIN_EXE_keyrelay")).with_file_name("keyrelay-host");
        assert!(
            host.is_file(),
            "build it first: cargo build --package keyrelay-host"
        );
        std::os::unix::fs::symlink(host, app.join("keyrelay-host")).unwrap();
        fs::create_dir(app.join("policies")).unwrap();
        fs::copy(
            root.join("policies/follow.wasm"),
            app.join("policies/follow.wasm"),
        )
        .unwrap();
        fs::write(app.join("keyrelay.toml"), "").unwrap();
        prepare(app);
        let mut options = LocalAzureOptions::new(World::parse(world).unwrap(), app);
        options.site = Some("keyrelay".to_owned());
        options.functions_host = FunctionsHostOptions::new(app);
        let azure = LocalAzure::start(options).await.unwrap();
        Self {
            folder,
            azure,
            variables: Vec::new(),
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Rotates a secret, so that there is a first event.
    pub(crate) async fn rotated(self) -> Self {
        self.azure
            .cloud
            .set_secret("contoso-kv", "sql", "planted-value-3")
            .unwrap();
        self.azure.event_grid.settled().await;
        self
    }

    pub(crate) async fn doctor(&self, arguments: &[&str]) -> Done {
        done(self.command(arguments)).await
    }

    /// The same for as many apps as take longer than most tests.
    pub(crate) async fn doctor_within(&self, limit: Duration, arguments: &[&str]) -> Done {
        done_within(limit, self.command(arguments)).await
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
        command
            .arg("doctor")
            .arg(self.folder.path())
            .args(arguments)
            .env_clear();
        command
            .envs(self.azure.environment.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// The same with each sentence on one line.
    pub(crate) async fn doctor_unwrapped(&self, arguments: &[&str]) -> Done {
        let mut done = self.doctor(arguments).await;
        done.output = done.output.replace("\n      ", " ");
        done
    }

    /// The findings as JSON.
    pub(crate) async fn findings(&self, arguments: &[&str]) -> Vec<Value> {
        let done = self.doctor(&[&["--json"], arguments].concat()).await;
        let lines = done.output.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The findings that failed, each with its fix.
    pub(crate) async fn failures(&self) -> Vec<(String, String)> {
        let Done {
            code,
            output,
            errors,
        } = self.doctor(&["--json"]).await;
        assert!(!output.contains("planted-value"), "{output}");
        let findings: Vec<Value> = output
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let failed: Vec<&Value> = findings
            .iter()
            .filter(|finding| finding["ok"] == false)
            .collect();
        assert_eq!(
            code,
            Some(i32::from(!failed.is_empty())),
            "{output}{errors}"
        );
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
        let words = |it: &&Value| {
            (
                format!("{}: {}", text(it, "what"), text(it, "message")),
                text(it, "fix"),
            )
        };
        failed.iter().map(words).collect()
    }

    /// Expects a finding with these words, and these in its fix.
    pub(crate) async fn finds(&self, words: &str, fix: &str) {
        let failures = self.failures().await;
        assert!(
            failures
                .iter()
                .any(|it| it.0.contains(words) && it.1.contains(fix)),
            "{words}, {fix}: {failures:#?}"
        );
    }

    /// Expects this finding only: a fault must not cause others.
    pub(crate) async fn finds_only(&self, words: &str, fix: &str) {
        self.finds(words, fix).await;
        let failures = self.failures().await;
        assert_eq!(failures.len(), 1, "{failures:#?}");
    }
}

pub(crate) fn world() -> String {
    format!("{WORLD}{ROLE}")
}
