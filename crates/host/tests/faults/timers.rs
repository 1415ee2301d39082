//! Reconcile timers that overlap, and instances that start at the same moment.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::client;
use crate::report::Report;
use crate::rig::{Plan, Rig};

/// Invokes the reconcile timer of one instance, without the lock by which a Functions host makes it
/// a singleton.
async fn timer(rig: &Rig, instance: usize) {
    let host = &rig.app.azure.functions_host;
    let url = host.handler_url_of(instance).unwrap().join("Reconcile");
    let body = json!({ "Data": { "timer": {} }, "Metadata": {} });
    let sent = client().post(url.unwrap()).json(&body).send().await;
    assert!(sent.unwrap().status().is_success(), "{}", rig.app.log());
}

async fn timers(rig: &Rig, instances: usize) {
    join_all((0..instances).map(|instance| timer(rig, instance))).await;
}

/// The number of runs that have ended each pending rotation, by its first run and its app.
fn endings(runs: &[Value]) -> HashMap<(String, String), usize> {
    let mut endings = HashMap::new();
    for run in runs.iter().filter(|run| run["cause"] == "pending") {
        for rotation in run["rotations"].as_array().into_iter().flatten() {
            if rotation["verdict"] != "pending" {
                let key = (run["of"].to_string(), rotation["app"].to_string());
                *endings.entry(key).or_default() += 1;
            }
        }
    }
    endings
}

/// Two timers at once, each time with open work.
pub(crate) async fn two_at_once() -> Report {
    let plan = Plan {
        apps: 8,
        secrets: 4,
        pins: true,
        instances: 2,
        // A delivery that is cut goes on in the background, where making its work due would disturb it.
        configuration: "",
    };
    let rig = Rig::start(plan, |_| {}).await;
    let mut open = 0;
    rig.ledger
        .watch(&rig.app, async {
            for round in 0..8 {
                for number in 0..4 {
                    rig.rotate(round + number);
                }
                rig.app.settled().await;
                let store = rig.store();
                open += store.pending().await.len();
                store.make_due().await;
                timers(&rig, 2).await;
            }
            rig.settle().await;
        })
        .await;
    let endings = endings(&rig.store().runs().await);
    let twice: Vec<_> = endings.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "resumed by both timers: {twice:?}");
    assert!(open > 0, "nothing was open");
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note(format!(
        "{open} times open work met two timers at once; {} rotations were ended by them, 0 twice",
        endings.len()
    ));
    report
}

/// Three instances that start at the same moment, with open work, events and timers.
pub(crate) async fn three_starts() -> Report {
    const ROUNDS: usize = 5;
    let plan = Plan {
        apps: 8,
        secrets: 4,
        pins: true,
        instances: 3,
        configuration: "lease_ms = 2000",
    };
    let rig = Rig::start(plan, |_| {}).await;
    rig.store().make_comparison_due().await;
    let host = &rig.app.azure.functions_host;
    let mut kills = 0;
    rig.ledger
        .watch(&rig.app, async {
            for round in 0..ROUNDS {
                for number in 0..4 {
                    rig.rotate(round + number);
                }
                tokio::time::sleep(Duration::from_millis(150)).await;
                let handlers = (0..3).map(|instance| host.handler_kill(instance).unwrap());
                kills += join_all(handlers.map(|kill| async move { kill.killed().await }))
                    .await
                    .len();
                rig.app
                    .until("the start of all instances", |app| {
                        let host = &app.azure.functions_host;
                        (0..3).all(|instance| host.handler_url_of(instance).is_some())
                    })
                    .await;
                rig.rotate(round);
                timers(&rig, 3).await;
            }
            rig.settle().await;
        })
        .await;
    let log = rig.app.log();
    let comparisons = log.lines().filter(|line| line.contains("apps compared"));
    let comparisons = comparisons.count();
    // The events of each round ask for one sweep, which one of the three timers makes; and an event
    // that arrives during a sweep for another one.
    assert!(
        (1..=2 * ROUNDS).contains(&comparisons),
        "{comparisons}\n{log}"
    );
    let mut report = rig.ledger.check(&rig, kills).await;
    report.note(format!(
        "{ROUNDS} times three instances started together, with a timer each; {comparisons} sweeps"
    ));
    report
}
