//! The handler is killed during a rollback, which happens because the new version does not resolve.

use keyrelay_local_azure::{Effect, Fault, Moment, ResolveStatus, Service};

use crate::kill::{SETTINGS, SETTINGS_LIST, STATE, Step, kill_at, step};
use crate::report::Report;
use crate::rig::{Plan, Rig};

/// The steps of a rollback, in order. They follow those of a patch.
const ROLLBACK: &[Step] = &[
    step("lease to roll back", Service::Storage, "PUT", STATE, 4),
    step(
        "read to roll back",
        Service::ResourceManager,
        "POST",
        SETTINGS_LIST,
        5,
    ),
    step("fence the rollback", Service::Storage, "PUT", STATE, 5),
    step("roll back", Service::ResourceManager, "PUT", SETTINGS, 2),
    step(
        "read back the rollback",
        Service::ResourceManager,
        "POST",
        SETTINGS_LIST,
        8,
    ),
    step(
        "release after the rollback",
        Service::Storage,
        "PUT",
        STATE,
        6,
    ),
];

/// The setting of the first app that references the pinned secret.
const SETTING: &str = "SECOND";

pub(crate) async fn killed() -> Report {
    let rig = Rig::start(
        Plan {
            apps: 2,
            secrets: 2,
            pins: true,
            instances: 1,
            configuration: "lease_ms = 1000",
        },
        |_| {},
    )
    .await;
    let (mut kills, mut names) = (0, Vec::new());
    rig.ledger
        .watch(&rig.app, async {
            for step in ROLLBACK.iter().filter(|step| step.can_be_met(&rig)) {
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
        "killed before and after: {}; each time the former value was restored",
        names.join(", ")
    ));
    report
}

/// Denies the app its secret, kills the handler at a step of the rollback, and checks that the
/// former value is restored. Then allows the app again, which gets the next version.
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
