//! An outage of the store.

use std::time::Duration;

use crate::report::Report;
use crate::rig::{Plan, Rig};

pub(crate) async fn of_the_store() -> Report {
    let plan = Plan {
        apps: 8,
        secrets: 4,
        pins: true,
        instances: 2,
        configuration: "answer_within_ms = 4000\nlease_ms = 2000\n",
    };
    let rig = Rig::start(plan, |_| {}).await;
    rig.app.take_store_away().await;
    let (writes, refreshes) = (rig.app.writes(), rig.app.requests("POST", "/refresh"));
    for number in 0..20 {
        rig.rotate(number);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let blind = rig.app.writes() - writes + rig.app.requests("POST", "/refresh") - refreshes;
    assert_eq!(
        blind,
        0,
        "something was changed without the store\n{}",
        rig.app.log()
    );
    rig.app.bring_store_back().await;
    rig.ledger.watch(&rig.app, rig.settle()).await;
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note("0 changes while the store was away, and everything afterwards");
    report
}
