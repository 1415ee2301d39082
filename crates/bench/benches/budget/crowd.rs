//! Many events for one app, many apps with one secret, and invalid events among valid ones. Runs
//! the real keyrelay-host against the stand-in for Azure.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use keyrelay_local_azure::functions_host::FunctionsHostOptions;
use keyrelay_local_azure::{LocalAzure, LocalAzureOptions, Service, World};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app;
use crate::process;

const VAULT: &str = "contoso-kv";
const MANY: usize = 1_000;
const GOOD: usize = 20;

/// The results of this group.
pub(crate) struct Crowd {
    /// The number of writes to one app because of a thousand events.
    pub(crate) writes: usize,
    /// The time until a thousand apps had the new version.
    pub(crate) took: Duration,
    /// The average number of requests per second to Resource Manager.
    pub(crate) requests_a_second: f64,
    /// The number of requests that it throttled.
    pub(crate) throttled: usize,
    /// The memory of keyrelay-host with one app, and its peak with a thousand, in bytes.
    pub(crate) memory: [u64; 2],
    /// The number of verified rotations among failing ones, and the number of all of them.
    pub(crate) good: [usize; 2],
}

pub(crate) fn measure() -> Crowd {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (writes, at_rest) = many_events().await;
        let good = among_bad().await;
        let apps = many_apps().await;
        Crowd {
            writes,
            good: [good, GOOD],
            memory: [at_rest, apps.memory[1]],
            ..apps
        }
    })
}

/// A running function app.
pub(crate) struct Running {
    pub(crate) azure: LocalAzure,
    folder: TempDir,
}

impl Running {
    pub(crate) async fn start(
        configuration: &str,
        secrets: &[String],
        sites: &str,
        change: impl FnOnce(&mut LocalAzureOptions, &Path),
    ) -> Self {
        let folder = app::folder(configuration);
        for policy in ["follow", "pin"] {
            fs::copy(
                app::shipped_policy(policy),
                folder.path().join(format!("policies/{policy}.wasm")),
            )
            .unwrap();
        }
        let secrets: Vec<String> = secrets
            .iter()
            .map(|name| format!("{name} = \"first\""))
            .collect();
        let world = format!(
            "subscription = \"00000000-0000-0000-0000-000000000001\"\n\
             [[vault]]\nname = \"{VAULT}\"\nresource_group = \"shop\"\nsecrets = {{ {} }}\n\
             [[site]]\nname = \"keyrelay\"\nresource_group = \"shop\"\n{sites}",
            secrets.join(", ")
        );
        let mut options = LocalAzureOptions::new(World::parse(&world).unwrap(), folder.path());
        options.site = Some("keyrelay".to_owned());
        options.functions_host = FunctionsHostOptions::new(folder.path());
        let store = folder.path().join("store").display().to_string();
        options
            .functions_host
            .environment
            .push(("KEYRELAY_STORE".to_owned(), store));
        options.event_grid.clock = 10.0;
        options.event_grid.attempt_timeout = Some(Duration::from_secs(30));
        change(&mut options, folder.path());
        Self {
            azure: LocalAzure::start(options).await.unwrap(),
            folder,
        }
    }

    pub(crate) fn rotate(&self, secret: &str) -> String {
        self.azure.cloud.set_secret(VAULT, secret, "next").unwrap()
    }

    fn has(&self, site: &str, version: &str) -> bool {
        let rows = self.azure.cloud.references(site).unwrap();
        rows.iter()
            .any(|row| row.setting == "SECRET" && row.active_version.as_deref() == Some(version))
    }

    /// The memory of keyrelay-host, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        process::memory_of_programs_in(self.folder.path())
    }

    /// The folder that is the store.
    pub(crate) fn store(&self) -> std::path::PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn asked(
        &self,
        wanted: impl Fn(&keyrelay_local_azure::RecordedRequest) -> bool,
    ) -> usize {
        let requests = self.azure.cloud.requests();
        requests
            .iter()
            .filter(|it| it.service == Service::ResourceManager && wanted(it))
            .count()
    }
}

pub(crate) fn sites<'a>(names_and_secrets: impl Iterator<Item = (String, &'a str)>) -> String {
    names_and_secrets.fold(String::new(), |mut sites, (name, secret)| {
        let reference = format!("@Microsoft.KeyVault(VaultName={VAULT};SecretName={secret})");
        writeln!(
            sites,
            "[[site]]\nname = \"{name}\"\nresource_group = \"shop\""
        )
        .unwrap();
        writeln!(sites, "settings = {{ SECRET = \"{reference}\" }}").unwrap();
        sites
    })
}

/// Creates a thousand versions of a secret that one app is pinned to.
async fn many_events() -> (usize, u64) {
    let rule = "[[rotation]]\nsecret = \"*\"\npolicy = \"pin\"\n";
    let one = sites([("orders".to_owned(), "sql")].into_iter());
    let app = Running::start(rule, &["sql".to_owned()], &one, |_, _| {}).await;
    app.rotate("sql");
    app.azure.event_grid.settled().await;
    let (memory, before) = (app.memory(), app.writes());
    let versions: Vec<String> = (0..MANY).map(|_| app.rotate("sql")).collect();
    app.azure.event_grid.settled().await;
    assert!(
        app.has("orders", versions.last().unwrap()),
        "the app is not fresh"
    );
    (app.writes() - before, memory)
}

impl Running {
    fn writes(&self) -> usize {
        self.asked(|it| it.method == "PUT" && it.path.contains("/config/appsettings"))
    }
}

/// Mixes valid events with an invalid policy, an app with a broken reference, and invalid events.
async fn among_bad() -> usize {
    let good: Vec<String> = (0..GOOD).map(|number| format!("good-{number}")).collect();
    let secrets: Vec<String> = good
        .iter()
        .cloned()
        .chain(["broken-policy".to_owned(), "broken-app".to_owned()])
        .collect();
    let mut all = sites(
        good.iter()
            .map(|secret| (format!("app-{secret}"), secret.as_str())),
    );
    all += &sites(
        [
            ("a".to_owned(), "broken-policy"),
            ("b".to_owned(), "missing"),
        ]
        .into_iter(),
    );
    let app = Running::start("", &secrets, &all, |options, folder| {
        fs::write(
            folder.join("policies/broken-policy.wasm"),
            b"\0asm, but no more",
        )
        .unwrap();
        options.event_grid.clock = 1_000.0;
    })
    .await;
    let none = json!({ "id": "none", "eventType": "Microsoft.KeyVault.SecretNewVersionCreated", "data": { "Id": 7 } });
    let mut versions = Vec::new();
    app.rotate("broken-policy");
    app.azure
        .functions_host
        .invoke("SecretEvent", &json!([none, none]))
        .await
        .unwrap();
    for secret in &good {
        versions.push(app.rotate(secret));
        app.azure
            .functions_host
            .invoke("SecretEvent", &none)
            .await
            .unwrap();
    }
    let began = Instant::now();
    let fresh = || {
        good.iter()
            .zip(&versions)
            .filter(|(secret, version)| app.has(&format!("app-{secret}"), version))
            .count()
    };
    // The second refresh is one of the timer, once a minute.
    while fresh() < GOOD && began.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fresh()
}

/// Rotates one secret that a thousand apps use, with Resource Manager's rate limits.
async fn many_apps() -> Crowd {
    let all = sites((0..MANY).map(|number| (format!("app-{number}"), "sql")));
    let app = Running::start("", &["sql".to_owned()], &all, |options, folder| {
        options.cloud.limits_requests = true;
        // As in a running function app, the hourly comparison does not coincide with the rotation.
        let comparison = folder.join("store/pending/comparison");
        fs::create_dir_all(&comparison).unwrap();
        let progress = json!({ "compared": now(), "after": null });
        // Due in an hour.
        let due = jiff::Timestamp::now().as_millisecond() + 3_600_000;
        let file = comparison.join(format!("all--due-{due}.json"));
        fs::write(file, progress.to_string()).unwrap();
    })
    .await;
    let began = Instant::now();
    let version = app.rotate("sql");
    let (mut memory, mut left): (u64, BTreeSet<usize>) = (0, (0..MANY).collect());
    let mut seconds = 0;
    while !left.is_empty() || has_pending(app.folder.path()) {
        assert!(
            began.elapsed() < Duration::from_secs(900),
            "{} apps are not fresh",
            left.len()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        memory = memory.max(app.memory());
        left.retain(|number| !app.has(&format!("app-{number}"), &version));
        seconds += 1;
        if seconds % 20 == 0 {
            // In Azure the timer fires every minute.
            app.azure
                .functions_host
                .run_timer("Reconcile")
                .await
                .unwrap();
        }
    }
    let took = began.elapsed();
    Crowd {
        writes: 0,
        took,
        requests_a_second: app.asked(|_| true) as f64 / took.as_secs_f64(),
        throttled: app.asked(|it| it.status == Some(429)),
        memory: [0, memory],
        good: [0, 0],
    }
}

fn has_pending(app: &Path) -> bool {
    let pending = app.join("store/pending");
    ["apps", "events"]
        .iter()
        .any(|folder| has_files(&pending.join(folder)))
}

fn has_files(folder: &Path) -> bool {
    let mut paths = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    paths.any(|path| path.is_file() || has_files(&path))
}

/// The current time as JSON.
fn now() -> Value {
    json!(jiff::Timestamp::now().to_string())
}
