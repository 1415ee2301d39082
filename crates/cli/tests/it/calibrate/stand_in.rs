//! A stand-in for Azure, and `keyrelay calibrate` in it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use keyrelay_local_azure::{
    Cloud, CloudOptions, Profile, PublishedEvent, RecordedRequest, ResolveStatus, World,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::harness::{Done, done};

/// Every name and value that a user chose has `planted` in it.
pub(super) const WORLD: &str = r#"
subscription = "5b1c0ffe-0000-4000-8000-00000000beef"
tenant = "7e4a47aa-0000-4000-8000-00000000cafe"

[[vault]]
name = "planted-vault"
resource_group = "planted-group"
secrets = { planted-secret = "planted-value-1" }

[[site]]
name = "planted-site"
resource_group = "planted-group"
settings = { PLANTED_SQL = "@Microsoft.KeyVault(VaultName=planted-vault;SecretName=planted-secret)", PLANTED_PLAIN = "planted-value-2" }
connection_strings = { PLANTED_DB = "@Microsoft.KeyVault(VaultName=planted-vault;SecretName=planted-secret)" }

[[site.slot]]
name = "planted-slot"
settings = { PLANTED_SQL = "@Microsoft.KeyVault(VaultName=planted-vault;SecretName=planted-secret)" }

[[site]]
name = "planted-caller"
resource_group = "planted-group"
"#;

/// The arguments that make the new versions.
pub(super) const SECRET: [&str; 4] = ["--vault", "planted-vault", "--secret", "planted-secret"];

/// A stand-in, with a folder for the file.
pub(super) struct Azure {
    pub(super) cloud: Cloud,
    folder: TempDir,
    _events: mpsc::UnboundedReceiver<PublishedEvent>,
}

impl Azure {
    pub(super) async fn start(world: &str, profile: Profile) -> Self {
        let (publish, events) = mpsc::unbounded_channel();
        let options = CloudOptions {
            profile,
            ..CloudOptions::default()
        };
        let world = World::parse(world).unwrap();
        Self {
            cloud: Cloud::start(world, options, publish).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            _events: events,
        }
    }

    /// As reported by users, fifty times as fast: a refresh takes 300 ms, and has no effect in the
    /// first 400 ms after a new version.
    pub(super) async fn as_reported() -> Self {
        Self::start(WORLD, Profile::as_reported().faster(50.0)).await
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join("found.json")
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
        let (manager, vaults) = (
            self.cloud.resource_manager_url(),
            self.cloud.key_vault_url(),
        );
        let endpoints = format!(
            "{{ resource_manager = \"{manager}\", vault_endpoint = \"{vaults}vaults/{{vault}}\" }}"
        );
        command
            .args(["calibrate", "--every", "0.05"])
            .args(["--site", &self.cloud.app_id("planted-site").unwrap()])
            .arg("--out")
            .arg(self.file())
            .args(arguments)
            .args(if arguments.contains(&"--for") {
                &[][..]
            } else {
                &["--for", "1.5"]
            })
            .env_clear()
            .envs(self.cloud.environment_of("planted-caller").unwrap())
            .env("KEYRELAY_CLOUD", endpoints)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub(super) async fn run(&self, arguments: &[&str]) -> Done {
        done(self.command(arguments)).await
    }

    /// Runs the command with the secret, and returns the file and standard output.
    pub(super) async fn calibrate(&self) -> (Value, String) {
        let done = self.run(&[&SECRET[..], &["--yes"]].concat()).await;
        assert_eq!(done.code, Some(0), "{}{}", done.output, done.errors);
        (self.found(), done.output)
    }

    /// The file, which has nothing private in it.
    pub(super) fn found(&self) -> Value {
        let text = std::fs::read_to_string(self.file()).unwrap();
        let lower = text.to_lowercase();
        let private = [
            "planted",
            "5b1c0ffe",
            "7e4a47aa",
            "azurewebsites",
            "127.0.0.1",
            "vault.azure",
        ];
        for word in private {
            assert!(!lower.contains(word), "{word}: {text}");
        }
        serde_json::from_str(&text).unwrap()
    }

    pub(super) fn profile(&self) -> Profile {
        Profile::from_calibration(&std::fs::read_to_string(self.file()).unwrap()).unwrap()
    }

    /// The number of requests of a method whose paths have this part.
    pub(super) fn count(&self, method: &str, part: &str) -> usize {
        let requests = self.cloud.requests();
        let of =
            |it: &&RecordedRequest| it.method == method && it.path.to_lowercase().contains(part);
        requests.iter().filter(of).count()
    }

    /// Whether the vault returns the secret.
    pub(super) async fn is_enabled(&self) -> bool {
        let variables = self.cloud.environment();
        let variable = |name: &str| variables.iter().find(|it| it.0 == name).unwrap().1.clone();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let endpoint = variable("IDENTITY_ENDPOINT");
        let token = client
            .get(format!(
                "{endpoint}?resource=https://vault.azure.net&api-version=2019-08-01"
            ))
            .header("X-IDENTITY-HEADER", variable("IDENTITY_HEADER"));
        let token: Value = token.send().await.unwrap().json().await.unwrap();
        let vault = self.cloud.vault_url("planted-vault").unwrap();
        let secret = client
            .get(format!("{vault}/secrets/planted-secret?api-version=7.4"))
            .bearer_auth(token["access_token"].as_str().unwrap());
        secret.send().await.unwrap().status().is_success()
    }

    /// Whether every reference of the site and its slot is resolved.
    pub(super) fn all_resolved(&self) -> bool {
        let apps = ["planted-site", "planted-site/planted-slot"];
        let mut rows = apps
            .iter()
            .flat_map(|app| self.cloud.references(app).unwrap());
        rows.all(|row| row.status == ResolveStatus::Resolved)
    }
}
