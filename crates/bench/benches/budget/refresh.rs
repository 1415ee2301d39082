//! The time from an event to the verdict `refreshed`, on Azure's own clock: a refresh takes 15 s,
//! does not take within 20 s of a new version, and the timer is invoked once a minute.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::running::{Running, sites};

/// The number of rotations: one each second of a minute, so that every phase of the timer counts.
const ROTATIONS: usize = 60;

/// Longest wait after the last rotation.
const PATIENCE: Duration = Duration::from_secs(150);

/// The results of this group.
pub(crate) struct Refreshed {
    /// The times from the event to the verdict, in order.
    pub(crate) times: Vec<Duration>,
    /// The largest number of refreshes for one rotation.
    pub(crate) most_refreshes: usize,
}

pub(crate) fn measure() -> Refreshed {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(rotate())
}

async fn rotate() -> Refreshed {
    let names: Vec<String> = (0..ROTATIONS).map(|number| format!("s-{number}")).collect();
    let all = sites(
        names
            .iter()
            .map(|secret| (format!("app-{secret}"), secret.as_str())),
    );
    let app = Running::start("", &names, &all, |_, _| {}).await;
    // The comparison at the start finds no app behind that keyrelay has refreshed.
    let mut lines = app.azure.functions_host.log().subscribe();
    let mut began: BTreeMap<String, Instant> = BTreeMap::new();
    let mut times = Vec::new();
    let mut next = names.iter();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut until = Instant::now() + PATIENCE;
    while times.len() < ROTATIONS {
        assert!(Instant::now() < until, "{} of {ROTATIONS}", times.len());
        tokio::select! {
            _ = tick.tick() => {
                if let Some(secret) = next.next() {
                    began.insert(secret.clone(), Instant::now());
                    app.rotate(secret);
                    until = Instant::now() + PATIENCE;
                }
            }
            Ok(line) = lines.recv() => {
                let Ok(line) = serde_json::from_str::<Map<String, Value>>(&line.text) else {
                    continue;
                };
                let secret = line.get("secret.name").and_then(Value::as_str).unwrap_or_default();
                if line.get("verdict").and_then(Value::as_str) == Some("refreshed")
                    && let Some(began) = began.remove(secret)
                {
                    times.push(began.elapsed());
                }
            }
        }
    }
    times.sort();
    let refreshes = |name: &String| {
        let path = format!("/app-{name}/config/configreferences/appsettings/refresh");
        app.asked(|it| it.path.contains(&path))
    };
    Refreshed {
        times,
        most_refreshes: names.iter().map(refreshes).max().unwrap_or_default(),
    }
}

impl Refreshed {
    /// The time that this share of the rotations took at most.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let index = ((self.times.len() as f64 * share).ceil() as usize).max(1) - 1;
        self.times.get(index).copied().unwrap_or_default()
    }
}
