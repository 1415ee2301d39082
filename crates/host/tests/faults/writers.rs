//! Another writer changes the settings of the same apps all the time.

use std::time::Duration;

use keyrelay_local_azure::{Intercept, Moment, Service, Then};

use crate::fixtures::PLANTED;
use crate::report::Report;
use crate::rig::{Plan, Rig};

pub(crate) async fn hammering() -> Report {
    let plan = Plan {
        apps: 4,
        secrets: 2,
        pins: true,
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
    report.foreign = 600;
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

/// The setting of the app that references the pinned secret, and the number of that secret.
const PINNED: usize = 1;

/// The number of rotations that another writer meets.
const ROTATIONS: usize = 9;

const LIST: &str = "config/appsettings/list";
const WRITE: &str = "app-0/config/appsettings";

fn intercept(moment: Moment, method: &str, path: &str, nth: usize) -> Intercept {
    Intercept::new(Service::ResourceManager, moment)
        .method(method)
        .path(path)
        .nth(nth)
}

/// A writer who changes the settings between our last read and our write, and once more between the
/// last read and the write that restores the first change. Every third time, Azure then cuts the
/// connection of every write for a while.
pub(crate) async fn two_in_a_row() -> Report {
    let plan = Plan {
        apps: 1,
        secrets: 2,
        pins: true,
        instances: 1,
        configuration: "answer_within_ms = 6000\n",
    };
    let rig = Rig::start(plan, |_| {}).await;
    rig.settle().await;
    let cloud = &rig.app.azure.cloud;
    let (mut foreign, mut lost) = (0, 0);
    for round in 0..ROTATIONS {
        let is_cut = round % 3 == 2;
        let theirs = [format!("FIRST_{round}"), format!("AGAIN_{round}")];
        let mut made = Vec::new();
        for (nth, setting) in [2, 5].into_iter().zip(theirs) {
            let (writer, setting) = (cloud.writer("them"), setting.clone());
            let read = intercept(Moment::CarriedOut, "POST", LIST, nth);
            let name = setting.clone();
            let interception = cloud.intercept(read, move || async move {
                let value = format!("{PLANTED}{setting}");
                writer.set("app-0", &setting, value).unwrap();
                Then::GoOn
            });
            made.push((name, interception));
        }
        for nth in 1..40 {
            let write = intercept(Moment::Arrived, "PUT", WRITE, nth);
            cloud.intercept(write, move || async move {
                // The read that is sent together with it comes first.
                tokio::time::sleep(Duration::from_millis(200)).await;
                if is_cut && nth > 1 {
                    Then::Drop
                } else {
                    Then::GoOn
                }
            });
        }
        rig.rotate(PINNED);
        rig.app.settled().await;
        // A write may be read back, or restored, after the end of its delivery.
        tokio::time::sleep(Duration::from_secs(if is_cut { 6 } else { 0 })).await;
        cloud.clear_intercepts();
        rig.settle().await;
        let runs = rig.store().runs().await;
        let records: String = runs
            .iter()
            .map(|run| run["rotations"].to_string())
            .collect();
        let settings = rig.app.settings("app-0");
        for (setting, interception) in &made {
            if !interception.has_struck() {
                continue;
            }
            match settings.get(setting) {
                Some(value) => rig.ledger.set_by_others("app-0", setting, value),
                None => {
                    let is_on_record = records.contains("are lost") && records.contains(setting);
                    assert!(is_on_record, "{setting} is lost\n{}", rig.app.log());
                    lost += 1;
                }
            }
            foreign += 1;
        }
    }
    let mut report = rig.ledger.check(&rig, 0).await;
    (report.foreign, report.lost) = (foreign, lost);
    report.note(format!(
        "{ROTATIONS} rotations met a writer with two changes in a row"
    ));
    report
}
