//! The cost of an event with many sites in the scope, of which few use the secret, with Resource
//! Manager's rate limits and on Azure's own clock. The index is there, and the hourly comparison is
//! not due; the timer is invoked at the shipped schedule.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use keyrelay_model::{AppId, Verdict};
use keyrelay_records::{
    AzureRequest, Cause, Found, Index, IndexChange, IndexUpdate, IndexedReference, Run,
};
use keyrelay_store::Store;
use serde_json::json;

use crate::crowd::{Running, sites};

/// The numbers of sites in the scope.
const SITES: [usize; 4] = [300, 1_000, 3_000, 10_000];

/// The secrets that are rotated, each with the number of apps that use it: the first two by a process
/// that has handled an event, the others by one that has just started.
const SECRETS: [(&str, usize); 4] = [("one", 1), ("ten", 10), ("one-cold", 1), ("ten-cold", 10)];

/// Longest wait for the verdicts of a rotation: the timer refreshes again after half a minute.
const PATIENCE: Duration = Duration::from_secs(200);

const VAULT: &str = "contoso-kv.vault.azure.net";
const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop";

/// The results for one number of sites.
pub(crate) struct Scale {
    pub(crate) sites: usize,
    pub(crate) events: Vec<Event>,
    /// The largest memory of keyrelay-host, in bytes.
    pub(crate) memory: u64,
    /// The number of requests that Resource Manager throttled.
    pub(crate) throttled: usize,
}

/// The cost of one event.
pub(crate) struct Event {
    pub(crate) secret: &'static str,
    pub(crate) users: usize,
    /// The time from the event to the first and to the last app's first refresh.
    pub(crate) refreshed: [Duration; 2],
    /// The number of reads of references, to the verdicts of all its apps.
    pub(crate) reads: usize,
    /// The number of deliveries.
    pub(crate) deliveries: usize,
}

/// Measures with each number of sites, or with one.
pub(crate) fn measure(only: Option<&str>) -> Vec<Scale> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let is_wanted = |sites: &usize| only.is_none_or(|only| only == sites.to_string());
    SITES
        .into_iter()
        .filter(is_wanted)
        .map(|sites| runtime.block_on(of(sites)))
        .collect()
}

/// The secret of a site.
fn secret_of(number: usize) -> &'static str {
    let mut first = 0;
    for (secret, users) in SECRETS {
        if number < first + users {
            return secret;
        }
        first += users;
    }
    "other"
}

async fn of(number: usize) -> Scale {
    let apps = || (0..number).map(|it| (format!("app-{it}"), secret_of(it)));
    let mut secrets: Vec<String> = SECRETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    secrets.push("other".to_owned());
    let prepare = |folder: &Path| {
        let apps: Vec<_> = apps().collect();
        let store = Store::folder(&folder.join("store")).unwrap();
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(prepared(store, &apps));
        });
    };
    let app = Running::start("", &secrets, &sites(apps()), |options, folder| {
        options.cloud.limits_requests = true;
        options.event_grid.clock = 1.0;
        prepare(folder);
    })
    .await;
    let mut events = Vec::new();
    let mut memory = 0;
    for (secret, users) in SECRETS {
        if secret.ends_with("-cold") {
            let kill = app.azure.functions_host.handler_kill(0).unwrap();
            kill.killed().await;
            while app.azure.functions_host.handler_url_of(0).is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        events.push(event(&app, secret, users, &mut memory).await);
    }
    Scale {
        sites: number,
        events,
        memory,
        throttled: app.asked(|it| it.status == Some(429)),
    }
}

async fn event(app: &Running, secret: &'static str, users: usize, memory: &mut u64) -> Event {
    let refreshes = || app.asked(|it| it.method == "POST" && it.path.contains("/refresh"));
    let (before, deliveries) = (refreshes(), app.azure.event_grid.deliveries().len());
    app.rotate(secret);
    let began = Instant::now();
    let mut refreshed: [Option<Duration>; 2] = [None; 2];
    let mut checked = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "{secret} is not fresh");
        tokio::time::sleep(Duration::from_millis(5)).await;
        let sent = refreshes() - before;
        if sent >= 1 && refreshed[0].is_none() {
            refreshed[0] = Some(began.elapsed());
        }
        if sent >= users && refreshed[1].is_none() {
            refreshed[1] = Some(began.elapsed());
        }
        if checked.elapsed() < Duration::from_secs(1) {
            continue;
        }
        checked = Instant::now();
        *memory = (*memory).max(app.memory());
        if let Some(reads) = reads_if_final(&app.store(), secret, users) {
            return Event {
                secret,
                users,
                refreshed: refreshed.map(Option::unwrap),
                reads,
                deliveries: app.azure.event_grid.deliveries().len() - deliveries,
            };
        }
    }
}

/// The number of reads of references that the runs of a secret have on record, if each of its apps
/// has a final verdict.
fn reads_if_final(store: &Path, secret: &str, users: usize) -> Option<usize> {
    let (mut reads, mut verdicts) = (0, 0);
    for day in fs::read_dir(store.join("runs")).ok()?.flatten() {
        for file in fs::read_dir(day.path()).ok()?.flatten() {
            let text = fs::read(file.path()).ok()?;
            let run: Run = serde_json::from_slice(&text).ok()?;
            let is_of = run.event.as_ref().is_some_and(|event| event.name == secret);
            if !is_of || run.cause == Cause::Drift {
                continue;
            }
            let is_first = run.cause == Cause::Event;
            let of_apps = run.rotations.iter();
            let finals = of_apps.clone().filter(|it| {
                is_first && matches!(it.outcome.verdict, Verdict::Refreshed | Verdict::Verified)
            });
            verdicts += finals.count();
            let rows = of_apps.flat_map(|it| &it.requests).chain(&run.requests);
            let is_read = |it: &&AzureRequest| {
                let is_of_references = it.operation.starts_with("read");
                is_of_references || it.operation.contains("sites")
            };
            reads += rows.filter(is_read).count();
        }
    }
    (verdicts == users).then_some(reads)
}

/// Writes the index, and the progress of a comparison that has just ended.
async fn prepared(store: Store, apps: &[(String, &str)]) {
    let now = store.now();
    let update = |(name, secret): &(String, &str)| {
        let app: AppId = format!("{GROUP}/providers/Microsoft.Web/sites/{name}")
            .parse()
            .unwrap();
        let references = vec![IndexedReference {
            setting: "SECRET".to_owned(),
            is_connection_string: false,
            version: None,
            identity: Some("SystemAssigned".to_owned()),
        }];
        IndexUpdate {
            vault: VAULT.parse().unwrap(),
            secret: secret.parse().unwrap(),
            app,
            change: IndexChange::Found(Found {
                references,
                with_connection_strings: true,
                at: now,
            }),
        }
    };
    let index = Index::new(store.clone());
    index
        .update(apps.iter().map(update).collect())
        .await
        .unwrap();
    index.swept(now, &[GROUP.parse().unwrap()]).await.unwrap();
    let progress = json!({ "compared": now.to_string(), "swept": now.to_string() });
    let due = now.as_millisecond() + 3_600_000;
    let key = format!("pending/comparison/all--due-{due}.json");
    store.write(&key, &progress).await.unwrap();
}
