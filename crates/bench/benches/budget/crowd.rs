//! Many events for one app, and invalid events among valid ones. Runs the real keyrelay-host against
//! the stand-in for Azure.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::running::{Running, sites};

const MANY: usize = 1_000;
const GOOD: usize = 20;

/// The results of this group.
pub(crate) struct Crowd {
    /// The number of writes to one app because of a thousand events.
    pub(crate) writes: usize,
    /// The memory of keyrelay-host with one app, in bytes.
    pub(crate) memory: u64,
    /// The number of verified rotations among failing ones, and the number of all of them.
    pub(crate) good: [usize; 2],
}

pub(crate) fn measure() -> Crowd {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (writes, memory) = many_events().await;
        let good = among_bad().await;
        Crowd {
            writes,
            memory,
            good: [good, GOOD],
        }
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
    let app = Running::start("", &secrets, &all, |_, folder| {
        fs::write(
            folder.join("policies/broken-policy.wasm"),
            b"\0asm, but no more",
        )
        .unwrap();
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
