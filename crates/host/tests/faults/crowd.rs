//! Several instances at once, with every event delivered more than once and out of order.

use std::time::Duration;

use keyrelay_local_azure::event_grid::Misbehaviour;

use crate::report::Report;
use crate::rig::{Plan, Rig};

pub(crate) async fn three_instances() -> Report {
    let plan = Plan {
        apps: 24,
        secrets: 12,
        pins: true,
        instances: 3,
        configuration: "",
    };
    let rig = Rig::start(plan, |_| {}).await;
    let misbehaviour = Misbehaviour {
        twice: true,
        reverse: true,
        delay: Duration::from_millis(100),
    };
    rig.app.azure.event_grid.misbehave(misbehaviour);
    rig.ledger
        .watch(&rig.app, async {
            for number in 0..180 {
                rig.rotate(number);
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            rig.settle().await;
        })
        .await;
    rig.ledger.check(&rig, 0).await
}
