//! Failures of a part of Azure: each ends nothing but itself, and no event comes back for it.

use std::time::Duration;

use keyrelay_local_azure::event_grid::Delivery;
use keyrelay_local_azure::{Effect, Fault, Intercept, Moment, Service, Then};

use crate::fixtures::SUBSCRIPTION;
use crate::report::Report;
use crate::rig::{Plan, Rig};

const PLAN: Plan = Plan {
    apps: 6,
    secrets: 4,
    pins: true,
    instances: 2,
    configuration: "answer_within_ms = 3000\n",
};

/// The number of events that were delivered again.
fn redeliveries(rig: &Rig) -> usize {
    let deliveries = rig.app.azure.event_grid.deliveries();
    let again = |delivery: &&Delivery| delivery.attempt > 1;
    deliveries.iter().filter(again).count()
}

/// Rotates every secret, waits for the deliveries, and returns how many events came back.
async fn rotate_all(rig: &Rig) -> usize {
    let before = redeliveries(rig);
    for number in 0..4 {
        rig.rotate(number);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    rig.app.settled().await;
    redeliveries(rig) - before
}

fn of_resource_manager(effect: Effect, path: &str) -> Fault {
    Fault::new(Service::ResourceManager, effect).path(path)
}

/// A list of sites that takes longer than a delivery, page by page.
pub(crate) async fn slow_list() -> Report {
    let rig = Rig::start(PLAN, |options| options.cloud.page_size = 1).await;
    let slow = Effect::Delay { milliseconds: 900 };
    let cloud = &rig.app.azure.cloud;
    cloud.switch_on(of_resource_manager(slow, "Microsoft.Web/sites$"));
    let again = rig.ledger.watch(&rig.app, rotate_all(&rig)).await;
    assert_eq!(again, 0, "{}", rig.app.log());
    let pending = rig.store().pending().await;
    let postponed = pending
        .iter()
        .filter(|key| key.starts_with("pending/events"));
    let postponed = postponed.count();
    assert!(postponed > 0, "{pending:?}");
    rig.ledger.watch(&rig.app, rig.settle()).await;
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note(format!(
        "{postponed} events went on with a list that outlasts a delivery, page by page; 0 came back"
    ));
    report
}

/// A vault that accepts connections and does not respond.
pub(crate) async fn silent_vault() -> Report {
    let rig = Rig::start(PLAN, |_| {}).await;
    let cloud = &rig.app.azure.cloud;
    let to_vault = |rig: &Rig| {
        let requests = rig.app.azure.cloud.requests();
        let to_vault = requests.iter().filter(|it| it.service == Service::KeyVault);
        to_vault.count()
    };
    let before = to_vault(&rig);
    cloud.switch_on(Fault::new(Service::KeyVault, Effect::Hang));
    let again = rig.ledger.watch(&rig.app, rotate_all(&rig)).await;
    assert_eq!(again, 0, "{}", rig.app.log());
    let requests = to_vault(&rig) - before;
    assert!(requests > 0, "the vault was not asked");
    assert!(requests <= 2 * 4, "{requests} requests to the vault");
    cloud.switch_off_faults();
    rig.ledger.watch(&rig.app, rig.settle()).await;
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note(format!(
        "4 events met a vault that does not respond, with {requests} requests to it; 0 came back"
    ));
    report
}

/// A resource group of the scope that does not exist any more.
pub(crate) async fn missing_scope() -> Report {
    let configuration: &'static str = format!(
        "scope = [\"/subscriptions/{SUBSCRIPTION}/resourceGroups/gone\", \
         \"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop\"]\n"
    )
    .leak();
    let plan = Plan {
        configuration,
        ..PLAN
    };
    let rig = Rig::start(plan, |_| {}).await;
    let again = rig.ledger.watch(&rig.app, rotate_all(&rig)).await;
    assert_eq!(again, 0, "{}", rig.app.log());
    rig.ledger.watch(&rig.app, rig.settle()).await;
    let runs = rig.store().runs().await;
    let on_record = runs.iter().filter(|run| {
        let message = run["ended"]["message"].as_str();
        message.is_some_and(|message| message.contains("/resourceGroups/gone"))
    });
    let on_record = on_record.count();
    assert!(on_record >= 4, "{on_record} of 4 events say it");
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note(format!(
        "{on_record} runs say that a scope is gone, and handled the other one; 0 events came back"
    ));
    report
}

/// One app whose requests all fail, while the others are handled.
pub(crate) async fn failing_app() -> Report {
    let rig = Rig::start(PLAN, |_| {}).await;
    rig.settle().await;
    let cloud = &rig.app.azure.cloud;
    let failing = Effect::status(500, "InternalServerError");
    cloud.switch_on(of_resource_manager(failing, "/sites/app-0/"));
    let again = rig.ledger.watch(&rig.app, rotate_all(&rig)).await;
    assert_eq!(again, 0, "{}", rig.app.log());
    let kept = rig.store().kept_for("app-0").await;
    // The index knows the two of the four secrets that it uses.
    assert_eq!(kept, 2, "{:?}", rig.store().pending().await);
    cloud.switch_off_faults();
    rig.ledger.watch(&rig.app, rig.settle()).await;
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note(format!(
        "{kept} rotations of an app that fails were kept for later; 0 events came back"
    ));
    report
}

/// Old runs that cannot be removed: the comparison before that is not repeated. Without Azurite the
/// fault does not strike.
pub(crate) async fn stuck_pruning() -> Report {
    let rig = Rig::start(PLAN, |_| {}).await;
    rig.settle().await;
    rig.store().add_old_run().await;
    let cloud = &rig.app.azure.cloud;
    let comparisons = |rig: &Rig| {
        let log = rig.app.log();
        let summaries = log.lines().filter(|line| line.contains("reconciled: "));
        let compared = summaries.filter(|line| line.contains("apps compared"));
        compared.count()
    };
    let before = comparisons(&rig);
    rig.store().make_comparison_due().await;
    // Deletions are batches, which are sent with this method. The first two are those of the former
    // progress of the comparison, when it begins and when it ends.
    for nth in 3..11 {
        let deletion = Intercept::new(Service::Storage, Moment::Arrived);
        let deletion = deletion.method("POST").nth(nth);
        cloud.intercept(deletion, || async { Then::Drop });
    }
    rig.app.reconcile().await;
    rig.app.reconcile().await;
    assert_eq!(comparisons(&rig) - before, 1, "{}", rig.app.log());
    let is_stuck = rig.app.log().contains("old runs stay for now");
    assert_eq!(is_stuck, rig.app.azurite.is_some(), "{}", rig.app.log());
    cloud.clear_intercepts();
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note("old runs could not be removed: 1 comparison, which was not repeated");
    report
}
