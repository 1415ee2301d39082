//! The store of a function app, read without it: a container of Azurite, or a folder.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_store::{ContainerUrl, Store, StoreError, TokenProvider};
use serde_json::{Value, json};

use crate::harness::Harness;

/// The progress of the comparison of all apps.
const COMPARISON: &str = "pending/comparison";

/// The request for a sweep.
const SWEEP: &str = "pending/sweep";

/// The runs of a day that is long over.
const OLD_RUNS: &str = "runs/2020-01-01";

/// The folders of the store.
const FOLDERS: [&str; 6] = ["apps", "denials", "index", "pending", "reminders", "runs"];

/// The number of objects that are read concurrently.
const AT_ONCE: usize = 16;

/// The time that the store may fail for, as it does in some scenarios.
const PATIENCE: Duration = Duration::from_secs(60);

/// The store of a function app.
pub(crate) struct Stored(Store);

/// A token that was acquired before.
#[derive(Debug)]
struct Token(String);

#[async_trait]
impl TokenProvider for Token {
    async fn token(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.clone())
    }

    async fn refused(&self) {}
}

impl Stored {
    pub(crate) fn of(app: &Harness) -> Self {
        let cloud = &app.azure.cloud;
        let Some(service) = cloud.storage_url() else {
            return Self(Store::folder(&app.store()).unwrap());
        };
        let container = ContainerUrl::in_service(service, "keyrelay").unwrap();
        Self(
            Store::container(
                &container,
                Arc::new(Token(cloud.storage_token())),
                &crate::harness::client(),
            )
            .unwrap(),
        )
    }

    /// All records of runs, oldest first.
    pub(crate) async fn runs(&self) -> Vec<Value> {
        self.values("runs").await.into_values().collect()
    }

    /// The keys of all pending work.
    pub(crate) async fn pending(&self) -> Vec<String> {
        let mut keys = self.keys("pending").await;
        keys.retain(|key| !key.starts_with(COMPARISON) && !key.starts_with(SWEEP));
        keys
    }

    /// The number of events with a rotation of an app that is kept for later: as pending work of the
    /// app, or as a postponed event that names it.
    pub(crate) async fn kept_for(&self, app: &str) -> usize {
        let id_end = format!("/{app}");
        let names_app = |name: &Value| name.as_str().is_some_and(|id| id.ends_with(&id_end));
        let works = self.values("pending/apps").await;
        let works = works
            .iter()
            .filter(|(key, _)| key.contains(&format!("/{app}/")));
        let works = works.flat_map(|(_, pending)| pending["works"].as_array().unwrap());
        let events = self.values("pending/events").await;
        let events = events.values().filter(|event| {
            let mut apps = event["apps"].as_array().into_iter().flatten();
            apps.any(names_app)
        });
        let ids = works.chain(events).map(|entry| &entry["event"]["id"]);
        ids.map(ToString::to_string).collect::<HashSet<_>>().len()
    }

    /// Makes all pending work due now, and ends the claims of instances that were killed.
    pub(crate) async fn make_due(&self) {
        let long_ago = Value::from("2026-01-01T00:00:00Z");
        for (key, mut entry) in self.values("pending").await {
            if key.starts_with(SWEEP) || key.starts_with(COMPARISON) {
                continue;
            }
            entry["claimed_until"] = Value::Null;
            if let Some(works) = entry.get_mut("works").and_then(Value::as_array_mut) {
                works
                    .iter_mut()
                    .for_each(|work| work["due"] = long_ago.clone());
            } else {
                entry["due"] = long_ago.clone();
            }
            let due = key
                .split_once("--due-")
                .map_or(key.clone(), |(start, _)| format!("{start}--due-1.json"));
            persistently(|| self.0.write(&due, &entry)).await;
            if due != key {
                persistently(|| self.0.delete(&key)).await;
            }
        }
    }

    /// Records that the reconcile timer has just compared all apps with their vaults.
    pub(crate) async fn has_just_compared(&self) {
        let progress = json!({ "compared": Timestamp::now(), "after": null });
        let due = Timestamp::now().as_millisecond() + 3_600_000;
        let key = format!("{COMPARISON}/all--due-{due}.json");
        persistently(|| self.0.write(&key, &progress)).await;
    }

    /// Ends the claim of an instance that was killed while it compared.
    pub(crate) async fn end_comparison(&self) {
        for (key, mut progress) in self.values(COMPARISON).await {
            progress["claimed_until"] = Value::Null;
            persistently(|| self.0.write(&key, &progress)).await;
        }
    }

    /// Makes the next comparison due now, and a sweep of all apps.
    pub(crate) async fn make_comparison_due(&self) {
        for (key, mut progress) in self.values(COMPARISON).await {
            progress["swept"] = Value::Null;
            progress["claimed_until"] = Value::Null;
            persistently(|| self.0.delete(&key)).await;
            let due = format!("{COMPARISON}/all--due-1.json");
            persistently(|| self.0.write(&due, &progress)).await;
        }
    }

    /// Whether a sweep of all apps has ended, and no comparison is in progress.
    pub(crate) async fn is_swept(&self) -> bool {
        let progress = self.values(COMPARISON).await;
        let mut progress = progress.values();
        progress.any(|it| !it["swept"].is_null() && it["remaining"].is_null())
    }

    /// The objects of the index.
    pub(crate) async fn index(&self) -> BTreeMap<String, Value> {
        self.values("index").await
    }

    /// Removes the index.
    pub(crate) async fn lose_index(&self) {
        for key in self.keys("index").await {
            persistently(|| self.0.delete(&key)).await;
        }
    }

    /// Copies the pending work that is selected, as that of another run. Returns the number.
    pub(crate) async fn copy_pending(
        &self,
        run: &str,
        is_selected: impl Fn(&Value) -> bool,
    ) -> usize {
        let mut copied = 0;
        for (key, mut entry) in self.values("pending/apps").await {
            if !is_selected(&entry) {
                continue;
            }
            entry["works"][0]["run"] = run.into();
            let (folder, _) = key.rsplit_once('/').unwrap();
            let copy = format!("{folder}/{run}--due-4000000000000.json");
            persistently(|| self.0.write(&copy, &entry)).await;
            copied += 1;
        }
        copied
    }

    /// Adds a record of 2020.
    pub(crate) async fn add_old_run(&self) {
        let key = format!("{OLD_RUNS}/20200101T000000000Z-00000000.json");
        let run = json!({});
        persistently(|| self.0.write(&key, &run)).await;
    }

    /// Everything in the store, as text.
    pub(crate) async fn objects(&self) -> BTreeMap<String, String> {
        let mut objects = BTreeMap::new();
        for folder in FOLDERS {
            objects.extend(
                self.values(folder)
                    .await
                    .into_iter()
                    .map(|(key, value)| (key, value.to_string())),
            );
        }
        objects
    }

    async fn keys(&self, folder: &str) -> Vec<String> {
        persistently(|| self.0.list(folder)).await
    }

    async fn values(&self, folder: &str) -> BTreeMap<String, Value> {
        let read = |key: String| async move {
            let read = persistently(|| self.0.read_json::<Value>(&key)).await;
            // It may have been removed since it was listed.
            read.map(|(value, _)| (key, value))
        };
        let values = stream::iter(self.keys(folder).await)
            .map(read)
            .buffer_unordered(AT_ONCE);
        values.filter_map(futures::future::ready).collect().await
    }
}

/// Retries an operation on the store until it succeeds: the faults of a scenario hit these
/// requests, too.
async fn persistently<T, F: Future<Output = Result<T, StoreError>>>(work: impl Fn() -> F) -> T {
    let began = Instant::now();
    loop {
        match work().await {
            Ok(done) => return done,
            Err(error) => assert!(
                began.elapsed() < PATIENCE,
                "the store keeps failing: {error:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
