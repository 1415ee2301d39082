//! Pages of a large installation: small, and without a read of everything. The benchmark measures the
//! times.

use std::time::{Duration, Instant};

use keyrelay_records::index::IndexedReference;
use serde_json::{Map, json};

use crate::browser::Browser;
use crate::site::{Folders, NEW, VAULT, app_id, minutes, run, verified};

/// The size of the largest page, in bytes.
const PAGE: usize = 1_000_000;

/// Much more than a page takes, so that a busy machine does not matter.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn pages_of_thousands_of_apps_and_runs_are_small() {
    let folders = Folders::new();
    folders.swept().await;
    let now = jiff::Timestamp::now();
    let reference = IndexedReference {
        setting: "SQL_PASSWORD".to_owned(),
        is_connection_string: false,
        version: None,
        identity: None,
    };
    let apps = (0..5_000).map(|number| {
        let app = json!({
            "id": app_id(&format!("app-{number}")), "references": [reference], "since": now, "seen": now,
            "current": { "version": NEW, "evidence": "refreshed twice", "at": now },
        });
        (format!("app-{number}"), app)
    });
    let apps: Map<String, serde_json::Value> = apps.collect();
    let shard = json!({ "format": 1, "secrets": { "sql": { "apps": apps } } });
    folders
        .store
        .write(&format!("index/{VAULT}/00.json"), &shard)
        .await
        .unwrap();
    let names: Vec<String> = (0..300).map(|number| format!("app-{number}")).collect();
    let rotations: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), verified()))
        .collect();
    let many = folders.keep(&run(minutes(1), "sql", &rotations)).await;
    for number in 0..1_000 {
        folders
            .keep(&run(minutes(10 + number), "sql", &[("app-1", verified())]))
            .await;
    }
    let later = now.checked_add(minutes(60 * 24)).unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    folders.history().compact(later, deadline).await.unwrap();
    let browser = Browser::open(folders.serve().await).await;
    for path in [
        "/".to_owned(),
        "/fleet".to_owned(),
        "/fleet?q=app-4999".to_owned(),
        "/runs".to_owned(),
        "/runs?verdict=failed".to_owned(),
        format!("/runs/{many}"),
        format!("/secrets/{VAULT}/sql"),
        "/apps/s/g/app-1".to_owned(),
    ] {
        let begin = Instant::now();
        let page = browser.page(&path).await;
        println!(
            "{path}: {} ms, {} bytes",
            begin.elapsed().as_millis(),
            page.len()
        );
        assert!(page.len() < PAGE, "{path}: {} bytes", page.len());
        assert!(begin.elapsed() < PATIENCE, "{path}");
    }
}
