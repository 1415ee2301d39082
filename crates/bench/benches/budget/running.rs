//! A running function app: the real keyrelay-host, and the stand-in for Azure around it, with Azure's
//! own clock and the timer at the shipped schedule.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use keyrelay_local_azure::functions_host::FunctionsHostOptions;
use keyrelay_local_azure::{LocalAzure, LocalAzureOptions, RecordedRequest, Service, World};
use keyrelay_records::ComparisonProgress;
use serde_json::Value;
use tempfile::TempDir;

use crate::{app, process};

const VAULT: &str = "contoso-kv";

/// The number of identities of the first sweep. Azure limits the requests of each on its own, so the
/// sweep of 10,000 apps takes seconds instead of minutes.
const SWEEPING: usize = 40;

/// The age of the first versions: one of the last day may be newer than what Azure uses, and would be
/// refreshed by the first sweep.
const AGE: Duration = Duration::from_hours(72);

/// Longest wait for the first sweep, and for a handler that starts.
const PATIENCE: Duration = Duration::from_secs(300);

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
        change(&mut options, folder.path());
        Self {
            azure: LocalAzure::start(options).await.unwrap(),
            folder,
        }
    }

    /// A function app as it is after its first sweep, with Resource Manager's rate limits on: keyrelay
    /// has made the index itself, the hourly comparison is not due, and the process has just started.
    /// It has so many identities, with the whole bucket of each.
    pub(crate) async fn swept(identities: usize, secrets: &[String], sites: &str) -> Self {
        let all = sites.to_owned() + &identities_of(SWEEPING + identities);
        let sweeping = with_identities(0..SWEEPING);
        let app = Self::start(&sweeping, secrets, &all, |options, folder| {
            options.cloud.limits_requests = true;
            options.functions_host.max_crashes = 100;
            // The timer does not compare before the versions have their age.
            let comparison = folder.join("store/pending/comparison");
            fs::create_dir_all(&comparison).unwrap();
            let due = jiff::Timestamp::now().as_millisecond() + 3_600_000;
            let never = "{\"compared\":null,\"after\":null}";
            fs::write(comparison.join(format!("all--due-{due}.json")), never).unwrap();
        })
        .await;
        let created = jiff::Timestamp::now() - AGE;
        for secret in secrets {
            let cloud = &app.azure.cloud;
            cloud.set_created(VAULT, secret, created).unwrap();
        }
        fs::remove_dir_all(app.store().join("pending/comparison")).unwrap();
        let began = Instant::now();
        while !app.is_swept() {
            assert!(began.elapsed() < PATIENCE, "the first sweep does not end");
            let timer = app.azure.functions_host.run_timer("Reconcile").await;
            timer.unwrap();
        }
        assert_eq!(
            app.asked(is_refresh),
            0,
            "the first sweep has repaired apps"
        );
        let configuration = with_identities(SWEEPING..SWEEPING + identities);
        fs::write(app.folder.path().join("keyrelay.toml"), configuration).unwrap();
        app.restart().await;
        app
    }

    /// Kills keyrelay-host, and waits until the next one is ready.
    pub(crate) async fn restart(&self) {
        let host = &self.azure.functions_host;
        host.handler_kill(0).unwrap().killed().await;
        let began = Instant::now();
        while host.handler_url_of(0).is_none() {
            assert!(began.elapsed() < PATIENCE, "keyrelay-host does not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether a sweep has ended, and the next comparison is not due.
    fn is_swept(&self) -> bool {
        let files = fs::read_dir(self.store().join("pending/comparison"));
        let progress = files.into_iter().flatten().flatten().find_map(|file| {
            serde_json::from_slice::<ComparisonProgress>(&fs::read(file.path()).ok()?).ok()
        });
        progress.is_some_and(|it| it.swept.is_some() && it.remaining.is_none())
    }

    pub(crate) fn rotate(&self, secret: &str) -> String {
        self.azure.cloud.set_secret(VAULT, secret, "next").unwrap()
    }

    pub(crate) fn has(&self, site: &str, version: &str) -> bool {
        let rows = self.azure.cloud.references(site).unwrap();
        rows.iter()
            .any(|row| row.setting == "SECRET" && row.active_version.as_deref() == Some(version))
    }

    /// Whether work is pending, or an event is postponed.
    pub(crate) fn has_pending(&self) -> bool {
        let pending = self.store().join("pending");
        let mut folders = ["apps", "events"].iter();
        folders.any(|folder| has_files(&pending.join(folder)))
    }

    /// The memory of keyrelay-host, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        process::memory_of_programs_in(self.folder.path())
    }

    /// The folder that is the store.
    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The number of requests to Resource Manager.
    pub(crate) fn asked(&self, wanted: impl Fn(&RecordedRequest) -> bool) -> usize {
        let requests = self.azure.cloud.requests();
        let requests = requests.iter().filter(|it| is_to_resource_manager(it));
        requests.filter(|it| wanted(it)).count()
    }

    /// The number of writes of settings.
    pub(crate) fn writes(&self) -> usize {
        self.asked(|it| it.method == "PUT" && it.path.contains("/config/appsettings"))
    }
}

pub(crate) fn is_to_resource_manager(request: &RecordedRequest) -> bool {
    request.service == Service::ResourceManager
}

/// Whether a request refreshes the references of an app.
pub(crate) fn is_refresh(request: &RecordedRequest) -> bool {
    is_to_resource_manager(request)
        && request.method == "POST"
        && request
            .path
            .ends_with("/config/configreferences/appsettings/refresh")
}

/// The name of the site that a request is for.
pub(crate) fn site_of(request: &RecordedRequest) -> Option<&str> {
    let (_, rest) = request.path.split_once("/Microsoft.Web/sites/")?;
    rest.split('/').next()
}

/// The world's sites, each with a reference to a secret.
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

/// The world's user-assigned identities.
fn identities_of(count: usize) -> String {
    (0..count).fold(String::new(), |mut all, number| {
        let id = client_id(number);
        writeln!(
            all,
            "[[identity]]\nname = \"identity-{number}\"\nresource_group = \"shop\"\nclient_id = \"{id}\""
        )
        .unwrap();
        all
    })
}

/// The configuration of a keyrelay with these identities.
fn with_identities(numbers: impl Iterator<Item = usize>) -> String {
    let ids: Vec<String> = numbers.map(client_id).collect();
    format!("client_ids = {ids:?}\n")
}

fn client_id(number: usize) -> String {
    format!("99999999-0000-0000-0000-{number:012}")
}

fn has_files(folder: &Path) -> bool {
    let mut paths = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    paths.any(|path| path.is_file() || has_files(&path))
}

/// The field of a line of keyrelay-host's log.
pub(crate) fn field<'a>(line: &'a Value, name: &str) -> &'a str {
    line.get(name).and_then(Value::as_str).unwrap_or_default()
}
