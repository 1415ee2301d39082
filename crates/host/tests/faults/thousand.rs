//! A thousand events for one app, and a thousand apps with one secret.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use keyrelay_local_azure::Service;
use serde_json::{Map, Value};

use crate::fixtures::{VAULT, reference};
use crate::harness::field;
use crate::report::Report;
use crate::setup::Setup;
use crate::stored::Stored;

/// The number of apps that use the one secret.
const APPS: usize = 1_000;

pub(crate) async fn events() -> Report {
    let rule = "[[rotation]]\nsecret = \"*\"\npolicy = \"pin\"\n";
    let setup = Setup::new()
        .in_azurite()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .configured(rule);
    let app = setup.start().await;
    let versions: Vec<String> = (0..1_000).map(|_| app.rotate("sql")).collect();
    app.settled().await;
    assert_eq!(
        app.active_version("orders", "SQL"),
        versions.last().cloned(),
        "{}",
        app.log()
    );
    let (writes, runs) = (app.writes(), Stored::of(&app).runs().await.len());
    assert!(writes <= 3, "{writes} writes");
    assert!(runs >= 1_000, "{runs} runs");
    let mut report = Report {
        events: 1_000,
        runs,
        rotations: runs,
        writes,
        references: 1,
        ..Report::default()
    };
    report.note(format!("1,000 events for one app: {writes} writes"));
    report
}

pub(crate) async fn apps() -> Report {
    let mut setup = Setup::new().in_azurite();
    for number in 0..APPS {
        setup = setup.site(
            &format!("app-{number}"),
            &format!("SQL = \"{}\"", reference("sql")),
        );
    }
    let setup = setup.with(|options| {
        options.cloud.limits_requests = true;
        // Retries come after a second, two, five: a tenth of Azure's pauses.
        options.event_grid.clock = 10.0;
    });
    let app = setup.start().await;
    // Keeps the hourly comparison of all apps from running during the rotation.
    Stored::of(&app).has_just_compared().await;
    let started = Instant::now();
    let memory = rotate_all(&app).await;
    let took = started.elapsed();
    // The next delivery of Event Grid may be a minute away.
    tokio::time::timeout(Duration::from_secs(300), app.azure.event_grid.settled())
        .await
        .unwrap();
    let requests = app.azure.cloud.requests();
    let requests: Vec<_> = requests
        .iter()
        .filter(|it| it.service == Service::ResourceManager)
        .collect();
    let throttled = requests.iter().filter(|it| it.status == Some(429)).count();
    // A few are allowed: the token bucket of a new process starts full.
    assert!(throttled <= 20, "{throttled} responses 429");
    let a_second = requests.len() as f64 / took.as_secs_f64();
    let with_verdict = app
        .verdicts()
        .into_iter()
        .filter(|line| line["verdict"] == "refreshed" || is_fresh(line));
    let refreshed = with_verdict
        .map(|line| field(&line, "app.id").to_owned())
        .collect::<HashSet<_>>()
        .len();
    assert_eq!(refreshed, APPS, "not all are refreshed");
    let runs = Stored::of(&app).runs().await.len();
    let of_app = |number| {
        let path = format!("/app-{number}/config/configreferences");
        app.requests("POST", &path)
    };
    let most_refreshes = (0..APPS).map(of_app).max().unwrap_or_default();
    assert!(most_refreshes <= 3, "{most_refreshes} refreshes of an app");
    let mut report = Report {
        refreshes: app.requests("POST", "/refresh"),
        most_refreshes,
        events: 1,
        runs,
        rotations: refreshed,
        references: APPS,
        writes: app.writes(),
        ..Report::default()
    };
    report.note(format!(
        "1,000 apps with one secret of {VAULT}: all refreshed in {} s; {} requests, {a_second:.0} a second, {throttled} of them \
         got 429; at most {memory} MB of memory",
        took.as_secs(),
        requests.len()
    ));
    report
}

/// Rotates the secret, waits until every app has the new version, and returns the peak memory of
/// the handler in MB.
async fn rotate_all(app: &crate::harness::Harness) -> u64 {
    let started = Instant::now();
    let version = app.rotate("sql");
    let mut memory = 0;
    let done = |app: &crate::harness::Harness| {
        (0..APPS).all(|number| {
            app.active_version(&format!("app-{number}"), "SQL").as_ref() == Some(&version)
        })
    };
    while !done(app) || !Stored::of(app).pending().await.is_empty() {
        assert!(
            started.elapsed() < Duration::from_secs(900),
            "not all apps are fresh\n{}",
            app.log()
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
        memory = memory.max(memory_of_handler(app));
        if started.elapsed().as_secs() % 20 == 19 {
            app.reconcile().await;
        }
    }
    memory
}

/// Whether a rotation found that the app has the version already, because an earlier delivery had
/// refreshed it.
fn is_fresh(line: &Map<String, Value>) -> bool {
    line["verdict"] == "unchanged" && field(line, "message").contains("refreshed twice")
}

/// The resident memory of the handler in MB, or 0 where `/proc` does not exist.
fn memory_of_handler(app: &crate::harness::Harness) -> u64 {
    let place = app.folder.path().join("keyrelay-host");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = processes.filter(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.starts_with(place.as_os_str().as_encoded_bytes())
    });
    let resident = |process: std::fs::DirEntry| {
        let status = std::fs::read_to_string(process.path().join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?
            .trim()
            .to_owned();
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    ours.filter_map(resident).max().unwrap_or(0) / 1024
}
