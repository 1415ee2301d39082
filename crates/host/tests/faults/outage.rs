//! The store is away for a while.

use std::fs;
use std::time::Duration;

use crate::report::Report;
use crate::rig::{Plan, Rig};

pub(crate) async fn of_the_store() -> Report {
    let plan = Plan { apps: 8, secrets: 4, instances: 2, configuration: "answer_within_ms = 4000\n" };
    let rig = Rig::start(plan, |_| {}).await;
    take_away(&rig).await;
    let (writes, refreshes) = (rig.app.writes(), rig.app.requests("POST", "/refresh"));
    for number in 0..20 {
        rig.rotate(number);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let blind = rig.app.writes() - writes + rig.app.requests("POST", "/refresh") - refreshes;
    assert_eq!(blind, 0, "something was changed without the store\n{}", rig.app.log());
    bring_back(&rig).await;
    rig.ledger.watch(&rig.app, rig.settle()).await;
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note("0 changes while the store was away, and everything afterwards");
    report
}

/// Stops Azurite; or has something in the place of the folder that is no folder.
async fn take_away(rig: &Rig) {
    match &rig.app.azurite {
        Some(azurite) => azurite.stop().await,
        None => {
            fs::rename(rig.app.store(), rig.app.folder.path().join("away")).unwrap();
            fs::write(rig.app.store(), "").unwrap();
        }
    }
}

async fn bring_back(rig: &Rig) {
    match &rig.app.azurite {
        Some(azurite) => azurite.start_again().await.unwrap(),
        None => {
            fs::remove_file(rig.app.store()).unwrap();
            fs::rename(rig.app.folder.path().join("away"), rig.app.store()).unwrap();
        }
    }
}
