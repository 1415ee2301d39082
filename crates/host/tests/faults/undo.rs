//! The handler is killed while it puts back what was there before, because the new version does not resolve.

use keyrelay_local_azure::{Effect, Fault, Moment, ResolveStatus, Service};

use crate::kill::{SETTINGS, SETTINGS_LIST, STATE, Step, kill_at, step};
use crate::report::Report;
use crate::rig::{Plan, Rig};

/// The steps that follow on those of a patch, in their order.
const UNDO: &[Step] = &[
    step("lease to undo", Service::Storage, "PUT", STATE, 4),
    step(
        "read to undo",
        Service::ResourceManager,
        "POST",
        SETTINGS_LIST,
        5,
    ),
    step("fence the undo", Service::Storage, "PUT", STATE, 5),
    step("undo", Service::ResourceManager, "PUT", SETTINGS, 2),
    step(
        "read back the undo",
        Service::ResourceManager,
        "POST",
        SETTINGS_LIST,
        8,
    ),
    step("release after the undo", Service::Storage, "PUT", STATE, 6),
];

/// The setting of the first app that references the secret which is pinned.
const SETTING: &str = "SECOND";

pub(crate) async fn killed() -> Report {
    let rig = Rig::start(
        Plan {
            apps: 2,
            secrets: 2,
            instances: 1,
            configuration: "",
        },
        |_| {},
    )
    .await;
    let (mut kills, mut names) = (0, Vec::new());
    rig.ledger
        .watch(&rig.app, async {
            for step in UNDO.iter().filter(|step| step.can_be_met(&rig)) {
                for moment in [Moment::Arrived, Moment::CarriedOut] {
                    roll_back(&rig, step, moment).await;
                    kills += 1;
                }
                names.push(step.name);
            }
        })
        .await;
    let mut report = rig.ledger.check(&rig, kills).await;
    report.note(format!(
        "killed before and after: {}; each time the former value was put back",
        names.join(", ")
    ));
    report
}

/// Denies the app its secret, kills the handler at a step of the undo, and looks whether it was undone. Then the app
/// is allowed again, and gets the next version.
async fn roll_back(rig: &Rig, step: &Step, moment: Moment) {
    let before = rig.app.settings("app-0")[SETTING].clone();
    let denied = Effect::ReferenceStatus {
        status: ResolveStatus::AccessToKeyVaultDenied,
    };
    rig.app
        .azure
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, denied).path("app-0"));
    let struck = kill_at(rig, step, moment, 1).await;
    assert!(
        struck,
        "no request of the step `{}` was met\n{}",
        step.name,
        rig.app.log()
    );
    let after = rig.app.settings("app-0")[SETTING].clone();
    assert_eq!(
        after,
        before,
        "killed at `{}`, {moment:?}\n{}",
        step.name,
        rig.app.log()
    );
    rig.app.azure.cloud.switch_off_faults();
    rig.rotate(1);
    rig.settle().await;
}
