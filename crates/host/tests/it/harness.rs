//! A function app in a folder, a world around it, and the questions that tests ask about both.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyrelay_local_azure::functions_host::{FunctionsHostOptions, Invocation};
use keyrelay_local_azure::{
    Azurite, AzuriteOptions, LocalAzure, LocalAzureOptions, Service, World,
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// What the values of secrets and of plain-text settings begin with. Nobody may ever see it in a log.
pub(crate) const PLANTED: &str = "planted-value-";

/// How long anything may take that is waited for. Far beyond what is needed: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
pub(crate) const VAULT: &str = "contoso-kv";

/// What is to be set up; every test changes what it is about.
pub(crate) struct Setup {
    folder: TempDir,
    configuration: String,
    sites: String,
    pub(crate) options: Box<dyn FnOnce(&mut LocalAzureOptions) + Send>,
    /// Azurite's script, if the store is to be a container.
    azurite: Option<PathBuf>,
}

/// A running function app.
pub(crate) struct Harness {
    pub(crate) azure: LocalAzure,
    pub(crate) folder: TempDir,
    /// The storage account, if there is one. Without it the store is a folder.
    pub(crate) azurite: Option<Arc<Azurite>>,
}

impl Setup {
    /// A function app with the shipped policies and an empty configuration, and no app to handle.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (root, app) = (repository(), folder.path());
        fs::copy(root.join("host.json"), app.join("host.json")).unwrap();
        for function in ["SecretEvent", "Reconcile"] {
            fs::create_dir(app.join(function)).unwrap();
            fs::copy(
                root.join(function).join("function.json"),
                app.join(function).join("function.json"),
            )
            .unwrap();
        }
        // A link and not a copy: the binary has its debug information with it.
        std::os::unix::fs::symlink(
            env!("CARGO_BIN_EXE_keyrelay-host"),
            app.join("keyrelay-host"),
        )
        .unwrap();
        fs::create_dir(app.join("policies")).unwrap();
        for policy in ["follow", "pin"] {
            copy_policy(&root.join(format!("policies/{policy}.wasm")), app, policy);
        }
        Self {
            folder,
            configuration: String::new(),
            sites: String::new(),
            options: Box::new(|_| {}),
            azurite: None,
        }
    }

    /// An app with these settings, as TOML.
    pub(crate) fn site(mut self, name: &str, settings: &str) -> Self {
        self.sites += &format!(
            "[[site]]\nname = \"{name}\"\nresource_group = \"shop\"\nsettings = {{ {settings} }}\n"
        );
        self
    }

    /// More TOML after the site that was added last: its slots, or keys of its own.
    pub(crate) fn also(mut self, toml: &str) -> Self {
        self.sites += toml;
        self.sites += "\n";
        self
    }

    /// The text of `keyrelay.toml`.
    pub(crate) fn configured(mut self, toml: &str) -> Self {
        self.configuration = toml.to_owned();
        self
    }

    /// A rule for `sql`, whose policy answers what the script says.
    pub(crate) fn scripted(self, script: &str, grant: &str) -> Self {
        let script = script.replace('\n', "\\n");
        let rule = "[[rotation]]\nsecret = \"sql\"\npolicy = \"scripted\"\n";
        self.with_scripted_policy_as("scripted")
            .configured(&format!(
                "{rule}parameters = {{ script = \"{script}\" }}\ngrant = {{ {grant} }}\n"
            ))
    }

    /// Puts the scripted policy into the folder, under a name.
    pub(crate) fn with_scripted_policy_as(self, name: &str) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let module = target.join("wasm32-unknown-unknown/policy/scripted_policy.wasm");
        copy_policy(&module, self.folder.path(), name);
        self
    }

    /// Puts a file into `policies/`.
    pub(crate) fn policy_file(self, name: &str, content: &[u8]) -> Self {
        fs::write(self.policies().join(name), content).unwrap();
        self
    }

    pub(crate) fn policies(&self) -> PathBuf {
        self.folder.path().join("policies")
    }

    /// Has the store in a container of Azurite, if that is installed: `cargo xtask test` does it, and says so if it
    /// cannot.
    pub(crate) fn in_azurite(mut self) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one variable of these tests")]
        let script = std::env::var_os("KEYRELAY_AZURITE");
        self.azurite = script.map(PathBuf::from);
        self
    }

    /// Changes how the stand-in behaves.
    pub(crate) fn with(
        mut self,
        change: impl FnOnce(&mut LocalAzureOptions) + Send + 'static,
    ) -> Self {
        self.options = Box::new(change);
        self
    }

    /// Writes the configuration, and says what there is around the app.
    fn written(&self) -> World {
        fs::write(
            self.folder.path().join("keyrelay.toml"),
            &self.configuration,
        )
        .unwrap();
        let world = format!(
            "subscription = \"{SUBSCRIPTION}\"\n\
             [[vault]]\nname = \"{VAULT}\"\nresource_group = \"shop\"\n\
             secrets = {{ sql = \"{PLANTED}sql-1\", other = \"{PLANTED}other-1\" }}\n\
             [[site]]\nname = \"keyrelay\"\nresource_group = \"shop\"\n{}",
            self.sites
        );
        World::parse(&world).unwrap_or_else(|error| panic!("{error:?}\n{world}"))
    }

    /// The folder of the app and the world around it, for who starts it in another way.
    pub(crate) fn prepared(self) -> (TempDir, World) {
        let world = self.written();
        (self.folder, world)
    }

    /// Starts everything and waits until events are delivered.
    pub(crate) async fn start(self) -> Harness {
        let world = self.written();
        let mut options = LocalAzureOptions::new(world, self.folder.path());
        options.site = Some("keyrelay".to_owned());
        options.functions_host = FunctionsHostOptions::new(self.folder.path());
        // Event Grid's first retry comes after 100 ms; an attempt still has its 30 s.
        options.event_grid.clock = 100.0;
        options.event_grid.attempt_timeout = Some(Duration::from_secs(30));
        let mut azurite = None;
        if let Some(script) = self.azurite {
            let started = Azurite::start(AzuriteOptions {
                script,
                folder: self.folder.path().join("azurite"),
            })
            .await;
            let started = Arc::new(started.unwrap_or_else(|error| panic!("{error:?}")));
            options.cloud.storage = Some(Arc::clone(&started));
            azurite = Some(started);
        } else {
            let store = self.folder.path().join("store").display().to_string();
            options
                .functions_host
                .environment
                .push(("KEYRELAY_STORE".to_owned(), store));
        }
        (self.options)(&mut options);
        let azure = LocalAzure::start(options)
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        Harness {
            azure,
            folder: self.folder,
            azurite,
        }
    }
}

impl Harness {
    /// Sets a secret to a new planted value and returns the version.
    pub(crate) fn rotate(&self, secret: &str) -> String {
        self.azure
            .cloud
            .set_secret(VAULT, secret, format!("{PLANTED}{secret}-next"))
            .unwrap()
    }

    /// Sets a secret and waits until its event is done with, or given up.
    pub(crate) async fn rotate_and_settle(&self, secret: &str) -> String {
        let version = self.rotate(secret);
        self.settled().await;
        version
    }

    pub(crate) async fn settled(&self) {
        let settled = tokio::time::timeout(PATIENCE, self.azure.event_grid.settled()).await;
        assert!(
            settled.is_ok(),
            "events are still being delivered:\n{}",
            self.log()
        );
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(
            waited.await.is_ok(),
            "{what} did not come true:\n{}",
            self.log()
        );
    }

    /// Calls the function with a trigger value, as the Functions host does.
    pub(crate) async fn invoke(&self, value: &Value) -> Invocation {
        self.azure
            .functions_host
            .invoke("SecretEvent", value)
            .await
            .unwrap()
    }

    /// Runs the reconcile timer now.
    pub(crate) async fn reconcile(&self) -> Invocation {
        self.azure
            .functions_host
            .run_timer("Reconcile")
            .await
            .unwrap()
    }

    /// Runs the reconcile timer as if the last comparison of all apps were long ago.
    pub(crate) async fn reconcile_all(&self) -> Invocation {
        let _ = fs::remove_file(self.store().join("reconcile.json"));
        self.reconcile().await
    }

    /// The folder that is the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Stops Azurite, or puts a file in the place of the folder.
    pub(crate) async fn take_store_away(&self) {
        match &self.azurite {
            Some(azurite) => azurite.stop().await,
            None => {
                // The handler answers before it has made it.
                self.until("the store is there", |app| app.store().is_dir())
                    .await;
                fs::rename(self.store(), self.folder.path().join("away")).unwrap();
                fs::write(self.store(), "").unwrap();
            }
        }
    }

    pub(crate) async fn bring_store_back(&self) {
        match &self.azurite {
            Some(azurite) => azurite.start_again().await.unwrap(),
            None => {
                fs::remove_file(self.store()).unwrap();
                fs::rename(self.folder.path().join("away"), self.store()).unwrap();
            }
        }
    }

    /// The records of all runs, oldest first.
    pub(crate) fn runs(&self) -> Vec<Value> {
        let mut files: Vec<PathBuf> = files_below(&self.store().join("runs"));
        files.sort();
        files
            .iter()
            .map(|file| serde_json::from_slice(&fs::read(file).unwrap()).unwrap())
            .collect()
    }

    /// What is pending in the store.
    pub(crate) fn pending(&self) -> Vec<PathBuf> {
        files_below(&self.store().join("pending"))
    }

    /// The JSON lines of the handler, oldest first.
    pub(crate) fn lines(&self) -> Vec<Map<String, Value>> {
        let lines = self.azure.functions_host.log().lines();
        lines
            .iter()
            .filter_map(|line| serde_json::from_str(&line.text).ok())
            .collect()
    }

    /// The lines that have a verdict, oldest first.
    pub(crate) fn verdicts(&self) -> Vec<Map<String, Value>> {
        self.lines()
            .into_iter()
            .filter(|line| line.contains_key("verdict"))
            .collect()
    }

    /// The verdict and the message of the newest rotation of an app.
    pub(crate) fn outcome(&self, app: &str) -> (String, String) {
        let end = format!("/sites/{app}");
        let of_app = |line: &Map<String, Value>| field(line, "app.id").ends_with(&end);
        let line = self
            .verdicts()
            .into_iter()
            .rfind(of_app)
            .unwrap_or_else(|| panic!("no verdict:\n{}", self.log()));
        (
            field(&line, "verdict").to_owned(),
            field(&line, "message").to_owned(),
        )
    }

    /// All settings of an app.
    pub(crate) fn settings(&self, app: &str) -> BTreeMap<String, String> {
        let settings = self.azure.cloud.settings(app).unwrap();
        settings
            .into_iter()
            .map(|(name, value)| (name, value.expose().to_owned()))
            .collect()
    }

    /// The version that Azure reports as active for a setting.
    pub(crate) fn active_version(&self, app: &str, setting: &str) -> Option<String> {
        let rows = self.azure.cloud.references(app).unwrap();
        rows.into_iter()
            .find(|row| row.setting == setting)?
            .active_version
    }

    /// How many requests of this method went to Resource Manager, for paths that contain this.
    pub(crate) fn requests(&self, method: &str, path: &str) -> usize {
        let requests = self.azure.cloud.requests();
        let to_resource_manager = requests
            .iter()
            .filter(|request| request.service == Service::ResourceManager);
        to_resource_manager
            .filter(|request| request.method == method && request.path.contains(path))
            .count()
    }

    /// How often settings were written.
    pub(crate) fn writes(&self) -> usize {
        self.requests("PUT", "/config/appsettings")
    }

    /// How often settings were read, plain text and all.
    pub(crate) fn reads_of_settings(&self) -> usize {
        self.requests("POST", "/config/appsettings/list")
    }

    /// The whole log, for messages of failed tests.
    pub(crate) fn log(&self) -> String {
        let lines = self.azure.functions_host.log().lines();
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for Harness {
    /// Whatever a test is about: no planted value may be in a log, or in what an invocation was answered.
    fn drop(&mut self) {
        let invocations = self.azure.functions_host.invocations();
        let in_store = |file: PathBuf| {
            String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).contains(PLANTED)
        };
        let leaked = self.log().contains(PLANTED)
            || format!("{invocations:?}").contains(PLANTED)
            || ["store", "azurite"].iter().any(|it| {
                files_below(&self.folder.path().join(it))
                    .into_iter()
                    .any(in_store)
            });
        if leaked && !std::thread::panicking() {
            panic!("a value that was planted to be kept secret is in the log or the store");
        }
    }
}

/// All files in a folder and the folders in it.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// A client to speak to the handler without the Functions host.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A text field of a line; empty if it is not there.
pub(crate) fn field<'a>(line: &'a Map<String, Value>, name: &str) -> &'a str {
    line.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An event of a new version of a secret, with an id of its own.
pub(crate) fn event(id: &str, secret: &str, version: &str) -> Value {
    json!({
        "id": id,
        "topic": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/{VAULT}"),
        "subject": secret,
        "eventType": "Microsoft.KeyVault.SecretNewVersionCreated",
        "eventTime": "2026-03-01T10:20:30Z",
        "data": {
            "Id": format!("https://{VAULT}.vault.azure.net/secrets/{secret}/{version}"),
            "VaultName": VAULT,
            "ObjectType": "Secret",
            "ObjectName": secret,
            "Version": version,
            "NBF": null,
            "EXP": null,
        },
        "dataVersion": "1",
        "metadataVersion": "1",
    })
}

/// A reference to a secret of the vault, as TOML.
pub(crate) fn reference(secret: &str) -> String {
    format!("@Microsoft.KeyVault(SecretUri=https://{VAULT}.vault.azure.net/secrets/{secret}/)")
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

fn copy_policy(module: &Path, app: &Path, name: &str) {
    let copied = fs::copy(module, app.join(format!("policies/{name}.wasm")));
    assert!(
        copied.is_ok(),
        "{} is missing: run `cargo xtask policies`",
        module.display()
    );
}
