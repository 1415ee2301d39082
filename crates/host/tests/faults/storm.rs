//! Many secrets that are rotated in a short time, among thousands of apps, with Resource Manager's rate
//! limits on. The limits are Azure's own; refreshes and the timer are faster, as in all scenarios.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use keyrelay_local_azure::{RecordedRequest, Service};

use crate::report::Report;
use crate::rig::{Plan, Rig};

/// The number of secrets. Each is used by two apps, and each app uses two of them.
const SECRETS: usize = 100;

/// The number of sites in the scope.
const SITES: usize = 3_000;

/// The pause between two rotations: all are made within a third of a minute.
const PAUSE: Duration = Duration::from_millis(200);

/// The pause between two invocations of the timer: Azure's minute is 30 times shorter, like the time
/// that keyrelay assumes for a refresh.
const TIMER: Duration = Duration::from_secs(2);

/// The pause between two observations of all references. Each secret has one new version, and a reference
/// that goes back to the first one stays there for longer than this.
const OBSERVE: Duration = Duration::from_millis(200);

/// Longest wait for all verdicts.
const PATIENCE: Duration = Duration::from_secs(300);

/// The most responses with 429 that are no storm: the bucket of each new process starts full.
const MAX_THROTTLED: usize = 20;

pub(crate) async fn a_hundred_secrets() -> Report {
    let plan = Plan {
        apps: SECRETS,
        secrets: SECRETS,
        pins: false,
        instances: 3,
        configuration: "",
    };
    let rig = Rig::swept(plan, SITES - SECRETS).await;
    let (began, since) = (Instant::now(), Timestamp::now());
    let timer = async {
        loop {
            // The sweep that the events request goes on in it. It is still going on at the end.
            rig.app.reconcile().await;
            tokio::time::sleep(TIMER).await;
        }
    };
    let storm = async {
        for number in 0..SECRETS {
            rig.rotate(number);
            tokio::time::sleep(PAUSE).await;
        }
        rig.app.azure.event_grid.settled().await;
        while !rig.store().pending().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let observing = async {
        loop {
            rig.ledger.observe(&rig.app);
            tokio::time::sleep(OBSERVE).await;
        }
    };
    tokio::select! {
        () = storm => {}
        () = timer => {}
        () = observing => {}
        () = tokio::time::sleep(PATIENCE) => panic!(
            "not all verdicts\n{}\n{}\n{}",
            check_requests(&rig, since, PATIENCE),
            check_deliveries(&rig),
            rig.app.log()
        ),
    }
    let took = began.elapsed();
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note(check_deliveries(&rig));
    report.note(check_requests(&rig, since, took));
    report
}

/// Checks that each delivery has succeeded at its first attempt.
fn check_deliveries(rig: &Rig) -> String {
    let deliveries = rig.app.azure.event_grid.deliveries();
    let failed: Vec<_> = deliveries
        .iter()
        .filter(|it| it.attempt > 1 || !it.outcome.is_success())
        .collect();
    assert!(failed.is_empty(), "{failed:?}\n{}", rig.app.log());
    assert_eq!(deliveries.len(), SECRETS);
    let longest = deliveries.iter().map(|it| it.duration).max();
    format!(
        "{SECRETS} deliveries, each once, in at most {:.1} s",
        longest.unwrap_or_default().as_secs_f64()
    )
}

/// Checks that Resource Manager has throttled few requests, and that no other app was changed.
fn check_requests(rig: &Rig, since: Timestamp, took: Duration) -> String {
    let requests = rig.app.azure.cloud.requests();
    let is_ours =
        |it: &&RecordedRequest| it.service == Service::ResourceManager && it.time >= since;
    let requests: Vec<_> = requests.iter().filter(is_ours).collect();
    let throttled = requests.iter().filter(|it| it.status == Some(429)).count();
    assert!(throttled <= MAX_THROTTLED, "{throttled} responses with 429");
    let is_change = |it: &&&RecordedRequest| it.method != "GET" && it.path.contains("/bystander-");
    assert_eq!(requests.iter().filter(is_change).count(), 0);
    format!(
        "{SECRETS} secrets among {SITES} sites: all verdicts after {:.0} s; {} requests, {throttled} of them got 429",
        took.as_secs_f64(),
        requests.len()
    )
}
