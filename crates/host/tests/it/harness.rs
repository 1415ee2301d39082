//! A running function app, and the observations that tests make of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyrelay_local_azure::functions_host::Invocation;
use keyrelay_local_azure::{Azurite, LocalAzure, Service};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::fixtures::{PLANTED, VAULT};

/// The longest wait for anything. It is far longer than necessary, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A running function app.
pub(crate) struct Harness {
    pub(crate) azure: LocalAzure,
    pub(crate) folder: TempDir,
    /// The storage account, if there is one. Otherwise, the store is a folder.
    pub(crate) azurite: Option<Arc<Azurite>>,
}

impl Harness {
    /// Sets a secret to a new planted value and returns the version.
    pub(crate) fn rotate(&self, secret: &str) -> String {
        self.azure
            .cloud
            .set_secret(VAULT, secret, format!("{PLANTED}{secret}-next"))
            .unwrap()
    }

    /// Sets a secret and waits until its event is handled or dead-lettered.
    pub(crate) async fn rotate_and_settle(&self, secret: &str) -> String {
        let version = self.rotate(secret);
        self.settled().await;
        version
    }

    /// Sets a secret, waits until its event is handled, and runs the reconcile timer, which waits for
    /// the second refresh and the check after it.
    pub(crate) async fn rotate_and_finish(&self, secret: &str) -> String {
        let version = self.rotate_and_settle(secret).await;
        self.reconcile().await;
        version
    }

    /// Waits until no event is being delivered.
    pub(crate) async fn settled(&self) {
        let settled = tokio::time::timeout(PATIENCE, self.azure.event_grid.settled()).await;
        assert!(
            settled.is_ok(),
            "events are still being delivered:\n{}",
            self.log()
        );
        log_is_read().await;
    }

    /// Waits until a condition holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(
            waited.await.is_ok(),
            "{what} did not happen:\n{}",
            self.log()
        );
    }

    /// Calls the function with a trigger value, as the Functions host does.
    pub(crate) async fn invoke(&self, value: &Value) -> Invocation {
        let functions_host = &self.azure.functions_host;
        let invoked = functions_host.invoke("SecretEvent", value).await.unwrap();
        log_is_read().await;
        invoked
    }

    /// Runs the reconcile timer now.
    pub(crate) async fn reconcile(&self) -> Invocation {
        let functions_host = &self.azure.functions_host;
        let invoked = functions_host.run_timer("Reconcile").await.unwrap();
        log_is_read().await;
        invoked
    }

    /// Runs the reconcile timer as if the last comparison of all apps were long ago.
    pub(crate) async fn reconcile_all(&self) -> Invocation {
        let folder = self.store().join("pending/comparison");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        // An installation that has compared before: what is pinned was missed.
        let progress = serde_json::json!({ "compared": "2026-01-01T00:00:00Z", "first": null });
        fs::write(folder.join("all--due-0.json"), progress.to_string()).unwrap();
        self.reconcile().await
    }

    /// Runs the reconcile timer of an installation that has never compared.
    pub(crate) async fn reconcile_first(&self) -> Invocation {
        let _ = fs::remove_dir_all(self.store().join("pending/comparison"));
        self.reconcile().await
    }

    /// Makes the next comparison due, and runs the reconcile timer.
    pub(crate) async fn compare_again(&self) -> Invocation {
        let folder = self.store().join("pending/comparison");
        for file in files_below(&folder) {
            fs::rename(file, folder.join("all--due-0.json")).unwrap();
        }
        self.reconcile().await
    }

    /// The folder that is the store.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Makes the store unavailable: stops Azurite, or replaces the folder with a file.
    pub(crate) async fn take_store_away(&self) {
        match &self.azurite {
            Some(azurite) => azurite.stop().await,
            None => {
                // The handler responds before it has opened the folder.
                self.until("the handler is ready", |app| {
                    app.log().contains("keyrelay-host is ready")
                })
                .await;
                fs::rename(self.store(), self.folder.path().join("away")).unwrap();
                fs::write(self.store(), "").unwrap();
            }
        }
    }

    /// Makes the store available again.
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

    /// The files of pending work and postponed events in the store.
    pub(crate) fn pending(&self) -> Vec<PathBuf> {
        let pending = self.store().join("pending");
        let folders = ["apps", "events"].map(|folder| pending.join(folder));
        folders
            .iter()
            .flat_map(|folder| files_below(folder))
            .collect()
    }

    /// The state of an app in the store. Null: there is none.
    pub(crate) fn app_state(&self, app: &str) -> Value {
        let name = format!("{app}.json");
        let states = files_below(&self.store().join("apps"));
        let state = states.iter().find(|file| file.ends_with(&name));
        let text = state.and_then(|file| fs::read_to_string(file).ok());
        text.and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }

    /// Makes everything that is pending due now: in the names of the files and in their content.
    pub(crate) fn make_due(&self) {
        for file in files_below(&self.store().join("pending")) {
            let name = file.display().to_string();
            let Some((start, _)) = name.split_once("--due-") else {
                continue;
            };
            if name.contains("pending/comparison") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let mut entry: Value = serde_json::from_str(&text).unwrap();
            let past = "2026-01-01T00:00:00Z";
            let fields = entry.as_object_mut().unwrap();
            fields.insert("claimed_until".to_owned(), Value::Null);
            match fields.get_mut("works").and_then(Value::as_array_mut) {
                Some(works) => works.iter_mut().for_each(|work| work["due"] = past.into()),
                None => drop(fields.insert("due".to_owned(), past.into())),
            }
            fs::write(format!("{start}--due-1.json"), entry.to_string()).unwrap();
            fs::remove_file(&file).unwrap();
        }
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

    /// The number of requests to Resource Manager with a method and a part of the path.
    pub(crate) fn requests(&self, method: &str, path: &str) -> usize {
        let requests = self.azure.cloud.requests();
        let to_resource_manager = requests
            .iter()
            .filter(|request| request.service == Service::ResourceManager);
        to_resource_manager
            .filter(|request| request.method == method && request.path.contains(path))
            .count()
    }

    /// The number of requests for pages of lists of sites.
    pub(crate) fn lists(&self) -> usize {
        let requests = self.azure.cloud.requests();
        let lists = requests.iter();
        lists
            .filter(|it| it.path.ends_with("Microsoft.Web/sites"))
            .count()
    }

    /// The number of writes of settings.
    pub(crate) fn writes(&self) -> usize {
        self.requests("PUT", "/config/appsettings")
    }

    /// The number of reads of settings, which show plain text.
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
    /// Checks, for every test, that no planted value is in the log, the store, or the response to
    /// an invocation.
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
            panic!("a planted value is in the log, the store, or a response");
        }
    }
}

/// Waits until the lines that keyrelay-host wrote before its response are read. They are in the pipe
/// already, and both are read by this process, in any order.
async fn log_is_read() {
    tokio::time::sleep(Duration::from_millis(20)).await;
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

/// A client for requests to the handler without the Functions host.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A text field of a log line, or an empty text if there is none.
pub(crate) fn field<'a>(line: &'a Map<String, Value>, name: &str) -> &'a str {
    line.get(name).and_then(Value::as_str).unwrap_or_default()
}
