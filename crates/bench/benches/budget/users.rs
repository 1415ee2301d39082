//! A secret that a thousand apps use, with Resource Manager's rate limits, and with one or several
//! identities, which Azure limits each on its own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::running::{Running, is_refresh, is_to_resource_manager, site_of, sites};

/// The number of apps.
const MANY: usize = 1_000;

/// The numbers of identities.
const IDENTITIES: [usize; 2] = [1, 4];

/// The writes that Resource Manager allows an identity: at once, and then each second. A refresh is a
/// `POST`, which counts as a write.
const WRITES: (f64, f64) = (200.0, 10.0);

/// The length of the parts of a trace.
const PART: Duration = Duration::from_secs(20);

/// Longest wait until all apps are refreshed.
const PATIENCE: Duration = Duration::from_secs(900);

/// The results with one number of identities.
pub(crate) struct Users {
    pub(crate) identities: usize,
    /// The time from the event to the last app's first refresh.
    pub(crate) first_refreshes: Duration,
    /// The least time for so many first refreshes by the rate limits, with the apps of each identity.
    pub(crate) floor: Duration,
    /// The time until all apps had the new version, and nothing was pending.
    pub(crate) took: Duration,
    /// The average number of requests per second to Resource Manager.
    pub(crate) requests_a_second: f64,
    /// The number of requests that it throttled.
    pub(crate) throttled: usize,
    /// The largest memory of keyrelay-host, in bytes.
    pub(crate) memory: u64,
    /// The number of deliveries.
    pub(crate) deliveries: usize,
    /// The requests of each part of the time.
    pub(crate) trace: String,
}

/// Measures with each number of identities, or with one.
pub(crate) fn measure(only: Option<&str>) -> Vec<Users> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    IDENTITIES
        .into_iter()
        .filter(|identities| only.is_none_or(|only| only == identities.to_string()))
        .map(|identities| runtime.block_on(with(identities)))
        .collect()
}

/// Rotates the secret, and waits until every app has the new version.
async fn with(identities: usize) -> Users {
    let all = sites((0..MANY).map(|number| (format!("app-{number}"), "sql")));
    let app = Running::swept(identities, &["sql".to_owned()], &all).await;
    let (began, since) = (Instant::now(), Timestamp::now());
    let version = app.rotate("sql");
    let (mut memory, mut left): (u64, BTreeSet<usize>) = (0, (0..MANY).collect());
    while !left.is_empty() || app.has_pending() {
        assert!(
            began.elapsed() < PATIENCE,
            "{} apps are not fresh",
            left.len()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        memory = memory.max(app.memory());
        left.retain(|number| !app.has(&format!("app-{number}"), &version));
    }
    let took = began.elapsed();
    let requests = app.azure.cloud.requests();
    let mut requests: Vec<_> = requests.iter().filter(|it| it.time >= since).collect();
    requests.retain(|it| is_to_resource_manager(it));
    let (mut refreshed, mut by_caller) = (HashSet::new(), HashMap::<_, usize>::new());
    let (mut last, mut parts) = (since, BTreeMap::<u64, [usize; 4]>::new());
    for request in &requests {
        let is_accepted = request.status.is_some_and(|status| status < 300);
        let is_first = if is_refresh(request) && is_accepted && refreshed.insert(site_of(request)) {
            *by_caller.entry(request.caller.clone()).or_default() += 1;
            last = last.max(request.time);
            true
        } else {
            false
        };
        let kind = match (is_first, is_refresh(request), request.method.as_str()) {
            (true, ..) => 0,
            (_, true, _) => 1,
            (_, _, "GET") => 2,
            _ => 3,
        };
        let at = Duration::try_from(request.time.duration_since(since)).unwrap();
        let part = parts.entry(at.as_secs() / PART.as_secs()).or_default();
        if let Some(count) = part.get_mut(kind) {
            *count += 1;
        }
    }
    let (at_once, a_second) = WRITES;
    let floors = by_caller
        .values()
        .map(|apps| (*apps as f64 - at_once).max(0.0) / a_second);
    Users {
        identities,
        first_refreshes: Duration::try_from(last.duration_since(since)).unwrap(),
        floor: Duration::from_secs_f64(floors.fold(0.0, f64::max)),
        took,
        requests_a_second: requests.len() as f64 / took.as_secs_f64(),
        throttled: requests.iter().filter(|it| it.status == Some(429)).count(),
        memory,
        deliveries: app.azure.event_grid.deliveries().len(),
        trace: text_of(&parts),
    }
}

fn text_of(parts: &BTreeMap<u64, [usize; 4]>) -> String {
    let parts = parts.iter().map(|(part, [first, later, reads, others])| {
        let from = part * PART.as_secs();
        format!("{from} s: {first}/{later}/{reads}/{others}")
    });
    let parts: Vec<String> = parts.collect();
    let words = "first refreshes/later ones/reads/other writes";
    format!("{words} from {}", parts.join(", "))
}
