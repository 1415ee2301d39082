//! Rows of references that are broken, and stay so for a while after a refresh has begun.

use std::time::Duration;

use keyrelay_local_azure::{Effect, Fault, Profile, ResolveStatus, Service};

use crate::report::Report;
use crate::rig::{Plan, Rig};

/// The factor by which this Azure is faster: its 15 s are 3 s.
const FASTER: f64 = 5.0;

/// The time that keyrelay assumes for a refresh, in milliseconds.
const AZURE_REFRESH_MS: &str = "4000";

const APPS: usize = 4;

pub(crate) async fn after_a_refresh() -> Report {
    let plan = Plan {
        apps: APPS,
        secrets: 2,
        pins: true,
        instances: 1,
        configuration: "",
    };
    let rig = Rig::start(plan, |options| {
        options.cloud.profile = Profile::as_reported().faster(FASTER);
        let assumed = ("KEYRELAY_AZURE_REFRESH_MS", AZURE_REFRESH_MS);
        let environment = &mut options.functions_host.environment;
        environment.push((assumed.0.to_owned(), assumed.1.to_owned()));
    })
    .await;
    rig.settle().await;
    let cloud = &rig.app.azure.cloud;
    let denied = Effect::ReferenceStatus {
        status: ResolveStatus::AccessToKeyVaultDenied,
    };
    cloud.switch_on(Fault::new(Service::ResourceManager, denied));
    let apps: Vec<String> = (0..APPS).map(|number| format!("app-{number}")).collect();
    for app in &apps {
        // Azure resolves all references after a write.
        cloud.edit_settings(app, |_| {}).unwrap();
    }
    let is_broken = |row: &keyrelay_local_azure::ReferenceRow| {
        row.status == ResolveStatus::AccessToKeyVaultDenied
    };
    rig.app
        .until("all rows are broken", |app| {
            let rows = |name: &String| app.azure.cloud.references(name).unwrap();
            apps.iter().all(|name| rows(name).iter().all(is_broken))
        })
        .await;
    cloud.switch_off_faults();
    let began = tokio::time::Instant::now();
    rig.rotate(0);
    rig.rotate(1);
    rig.app.settled().await;
    rig.settle().await;
    assert!(began.elapsed() > Duration::from_secs(3));
    let runs = rig.store().runs().await;
    let rotations = runs.iter().flat_map(|run| run["rotations"].as_array());
    let bad = rotations.flatten().filter(|rotation| {
        let verdict = rotation["verdict"].as_str().unwrap_or_default();
        verdict == "rolled back" || verdict.starts_with("failed")
    });
    let bad: Vec<String> = bad.map(ToString::to_string).collect();
    assert!(bad.is_empty(), "{bad:?}");
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note(format!(
        "{} references were broken, and stayed so for 15 s of Azure's time after a refresh: 0 \
         failures, 0 roll-backs",
        2 * APPS
    ));
    report
}
