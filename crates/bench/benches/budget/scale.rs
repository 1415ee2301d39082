//! The cost of an event with many sites in the scope, of which few use the secret, with Resource
//! Manager's rate limits and on Azure's own clock. keyrelay has made the index itself, and the hourly
//! comparison is not due; the timer is invoked at the shipped schedule, and sweeps after the events.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use keyrelay_local_azure::{RecordedRequest, Service};
use serde_json::Value;

use crate::running::{Running, field, is_refresh, is_to_resource_manager, site_of, sites};

/// The numbers of sites in the scope.
const SITES: [usize; 4] = [300, 1_000, 3_000, 10_000];

/// The secrets that are rotated, each with the number of apps that use it: the first ones by a process
/// that has handled an event, the others by one that has just started.
const SECRETS: [(&str, usize); 4] = [("one", 1), ("ten", 10), ("one-cold", 1), ("ten-cold", 10)];

/// The secret of the event before those that are measured.
const EARLIER: &str = "earlier";

/// The secret of the other apps, which is not rotated.
const OTHER: &str = "other";

/// Longest wait for the verdicts of a rotation: the timer refreshes again after half a minute.
const PATIENCE: Duration = Duration::from_secs(200);

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
    /// The number of reads of its apps and of the versions of its secret, until the verdict of the last
    /// app, those of the sweep too.
    pub(crate) reads: usize,
    /// The number of deliveries.
    pub(crate) deliveries: usize,
    /// The requests for the app with the most of them.
    pub(crate) trace: String,
}

/// Measures with each number of sites, or with one.
///
/// The sweeps come one after the other, because they need the processors. The events, which mostly wait
/// for Azure, are measured side by side: each number of sites has an Azure of its own.
pub(crate) fn measure(only: Option<&str>) -> Vec<Scale> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let is_wanted = |sites: &usize| only.is_none_or(|only| only == sites.to_string());
    runtime.block_on(async {
        let mut apps = Vec::new();
        for number in SITES.into_iter().filter(is_wanted) {
            apps.push((number, swept(number).await));
        }
        join_all(apps.iter().map(|(number, app)| of(*number, app))).await
    })
}

/// The secret of a site.
fn secret_of(number: usize) -> &'static str {
    let mut first = 0;
    for (secret, users) in SECRETS.into_iter().chain([(EARLIER, 1)]) {
        if number < first + users {
            return secret;
        }
        first += users;
    }
    OTHER
}

async fn swept(number: usize) -> Running {
    let apps = (0..number).map(|it| (format!("app-{it}"), secret_of(it)));
    let names = SECRETS.into_iter().map(|(name, _)| name);
    let secrets: Vec<String> = names.chain([EARLIER, OTHER]).map(str::to_owned).collect();
    Running::swept(1, &secrets, &sites(apps)).await
}

async fn of(number: usize, app: &Running) -> Scale {
    let mut memory = 0;
    event(app, EARLIER, 1, &mut memory).await;
    let mut events = Vec::new();
    for (secret, users) in SECRETS {
        if secret.ends_with("-cold") {
            app.restart().await;
        }
        events.push(event(app, secret, users, &mut memory).await);
    }
    Scale {
        sites: number,
        events,
        memory,
        throttled: app.asked(|it| it.status == Some(429)),
    }
}

/// Rotates a secret, and waits for the verdicts of its apps.
async fn event(app: &Running, secret: &'static str, users: usize, memory: &mut u64) -> Event {
    let mut lines = app.azure.functions_host.log().subscribe();
    let deliveries = app.azure.event_grid.deliveries().len();
    let began = Timestamp::now();
    app.rotate(secret);
    let mut with_verdict = HashSet::new();
    let verdicts = async {
        while with_verdict.len() < users {
            // A line that was missed is one of many: the wait below ends then.
            let Ok(line) = lines.recv().await else {
                continue;
            };
            let line: Value = serde_json::from_str(&line.text).unwrap_or_default();
            let is_final = matches!(field(&line, "verdict"), "refreshed" | "verified");
            if is_final && field(&line, "secret.name") == secret {
                with_verdict.insert(field(&line, "app.id").to_owned());
            }
        }
    };
    let watched = async {
        loop {
            *memory = (*memory).max(app.memory());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let done = async {
        tokio::select! {
            () = verdicts => {}
            () = watched => {}
        }
    };
    let done = tokio::time::timeout(PATIENCE, done).await;
    assert!(done.is_ok(), "{secret} is not fresh");
    let requests = app.azure.cloud.requests();
    let since: Vec<_> = requests.iter().filter(|it| it.time >= began).collect();
    let is_of = |it: &RecordedRequest| site_of(it).is_some_and(|site| is_user(site, secret));
    let mut first_refreshes = HashSet::new();
    let refreshes = since.iter().filter(|it| is_refresh(it) && is_of(it));
    let refreshed: Vec<Timestamp> = refreshes
        .filter(|it| first_refreshes.insert(site_of(it)))
        .map(|it| it.time)
        .collect();
    let after = |time: Option<&Timestamp>| {
        let time = time.copied().unwrap_or(Timestamp::MAX);
        Duration::try_from(time.duration_since(began)).unwrap()
    };
    let of_secret = format!("/secrets/{secret}/");
    let is_read = |it: &&&RecordedRequest| {
        let of_app = is_to_resource_manager(it) && is_of(it);
        let of_secret = it.service == Service::KeyVault && it.path.contains(&of_secret);
        it.method == "GET" && (of_app || of_secret)
    };
    Event {
        secret,
        users,
        refreshed: [after(refreshed.first()), after(refreshed.last())],
        reads: since.iter().filter(is_read).count(),
        trace: trace(since.iter().filter(|it| is_of(it)).copied(), began),
        deliveries: app.azure.event_grid.deliveries().len() - deliveries,
    }
}

/// Whether a site uses a secret.
fn is_user(site: &str, secret: &str) -> bool {
    let number = site.strip_prefix("app-").and_then(|it| it.parse().ok());
    number.is_some_and(|number| secret_of(number) == secret)
}

/// The requests for the app with the most of them, each with its time after the event.
fn trace<'a>(requests: impl Iterator<Item = &'a RecordedRequest>, began: Timestamp) -> String {
    let mut by_site: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for request in requests {
        let Some(site) = site_of(request) else {
            continue;
        };
        let (_, rest) = request.path.rsplit_once(site).unwrap_or_default();
        let at = request.time.duration_since(began).as_secs_f64();
        let line = format!("{at:.2} s {} ..{rest}", request.method);
        by_site.entry(site).or_default().push(line);
    }
    let longest = by_site.values().max_by_key(|lines| lines.len());
    longest.map(|lines| lines.join(", ")).unwrap_or_default()
}
