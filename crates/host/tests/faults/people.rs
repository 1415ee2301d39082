//! What people do by hand: they set a version back, and take a policy away.

use std::time::Duration;

use keyrelay_local_azure::{Effect, Fault, Service};

use crate::report::Report;
use crate::rig::{Plan, Rig};

/// The number of a secret that is pinned, and the setting of the first app that references it.
const PINNED: usize = 1;
const SETTING: &str = "SECOND";

const PLAN: Plan = Plan {
    apps: 4,
    secrets: 2,
    pins: true,
    instances: 1,
    configuration: "answer_within_ms = 3000\n",
};

/// Versions of one second cannot be ordered.
const ORDERED: Duration = Duration::from_millis(1_100);

/// A person sets the reference back to the former version.
pub(crate) async fn set_back() -> Report {
    let rig = Rig::start(PLAN, |_| {}).await;
    tokio::time::sleep(ORDERED).await;
    rig.rotate(PINNED);
    rig.ledger.watch(&rig.app, rig.settle()).await;
    let former = rig.app.settings("app-0")[SETTING].clone();
    tokio::time::sleep(ORDERED).await;
    rig.rotate(PINNED);
    rig.ledger.watch(&rig.app, rig.settle()).await;
    let set = |settings: &mut std::collections::BTreeMap<String, _>| {
        settings.insert(SETTING.to_owned(), former.clone().into());
    };
    rig.app.azure.cloud.edit_settings("app-0", set).unwrap();
    rig.ledger.set_back("app-0", SETTING);
    let writes = rig.app.writes();
    for _ in 0..3 {
        rig.store().make_comparison_due().await;
        rig.app.reconcile().await;
    }
    let log = rig.app.log();
    assert_eq!(rig.app.writes(), writes, "{log}");
    assert_eq!(rig.app.settings("app-0")[SETTING], former, "{log}");
    let runs = rig.store().runs().await;
    let reported = runs.iter().filter(|run| {
        let message = run["rotations"][0]["message"].as_str();
        message.is_some_and(|message| message.starts_with("reported, not repaired"))
    });
    assert_eq!(reported.count(), 1, "{log}");
    tokio::time::sleep(ORDERED).await;
    rig.rotate(PINNED);
    rig.ledger.watch(&rig.app, rig.settle()).await;
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note(
        "a version that was set back by hand: 3 comparisons, 1 report, 0 writes; the next version \
         was applied",
    );
    report
}

/// A policy is replaced by garbage after its patch was written, and before it was verified.
pub(crate) async fn policy_gone() -> Report {
    let rig = Rig::start(PLAN, |_| {}).await;
    let cloud = &rig.app.azure.cloud;
    let policy = rig.app.folder.path().join("policies/pin.wasm");
    let module = std::fs::read(&policy).unwrap();
    let unreadable = Effect::status(503, "ServiceUnavailable");
    let statuses = Fault::new(Service::ResourceManager, unreadable).path("configreferences");
    rig.ledger
        .watch(&rig.app, async {
            let (_, version) = rig.rotate(PINNED);
            rig.app
                .until("the writes", |app| {
                    let has_version = |number: &usize| {
                        let settings = app.settings(&format!("app-{number}"));
                        settings.values().any(|value| value.contains(&version))
                    };
                    (0..4).all(|number| has_version(&number))
                })
                .await;
            cloud.switch_on(statuses);
            std::fs::write(&policy, "no policy").unwrap();
            rig.app.settled().await;
            rig.app
                .until("the quarantine", |app| app.log().contains("quarantined"))
                .await;
        })
        .await;
    let owed = rig.store().pending().await.len();
    cloud.switch_off_faults();
    rig.ledger.watch(&rig.app, rig.settle()).await;
    std::fs::write(&policy, module).unwrap();
    rig.app
        .until("the policy is back", |app| {
            app.log().matches("\"policy.name\":\"pin\"").count() > 1
        })
        .await;
    rig.rotate(PINNED);
    rig.ledger.watch(&rig.app, rig.settle()).await;
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note(format!(
        "{owed} verifications were owed when the policy was gone, and all were made without it"
    ));
    report
}
