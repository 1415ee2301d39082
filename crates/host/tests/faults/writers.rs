//! Another writer changes the settings of the same apps all the time.

use std::time::Duration;

use crate::fixtures::PLANTED;
use crate::report::Report;
use crate::rig::{Plan, Rig};

pub(crate) async fn hammering() -> Report {
    let plan = Plan {
        apps: 4,
        secrets: 2,
        instances: 2,
        configuration: "",
    };
    let rig = Rig::start(plan, |_| {}).await;
    let theirs = async {
        for number in 0..600 {
            let app = format!("app-{}", number % 4);
            let (setting, value) = (
                format!("THEIRS_{number}"),
                format!("{PLANTED}theirs-{number}"),
            );
            rig.app
                .azure
                .cloud
                .edit_settings(&app, |settings| {
                    settings.insert(setting.clone(), value.clone().into());
                })
                .unwrap();
            rig.ledger.set_by_others(&app, &setting, &value);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let ours = async {
        for number in 0..60 {
            rig.rotate(number);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    rig.ledger
        .watch(&rig.app, async {
            futures::join!(theirs, ours);
            rig.settle().await;
        })
        .await;
    let mut report = rig.ledger.check(&rig, 0).await;
    let runs = rig.store().runs().await;
    let repaired = runs
        .iter()
        .flat_map(|run| run["rotations"].as_array().unwrap().clone());
    let repaired = repaired.filter(|rotation| {
        rotation["notes"]
            .as_array()
            .is_some_and(|notes| !notes.is_empty())
    });
    report.note(format!(
        "600 writes of another writer, none lost; {} collisions repaired",
        repaired.count()
    ));
    report
}
