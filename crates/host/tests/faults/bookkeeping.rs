//! The bookkeeping of open work, by the requests to the store. Without Azurite there are none.

use keyrelay_local_azure::{Effect, Fault, RecordedRequest, ResolveStatus, Service};
use serde_json::Value;

use crate::report::Report;
use crate::rig::{Plan, Rig};

/// The requests to the store from a number on.
fn to_store(rig: &Rig, from: usize) -> Vec<RecordedRequest> {
    let requests = rig.app.azure.cloud.requests().into_iter().skip(from);
    requests
        .filter(|it| it.service == Service::Storage)
        .collect()
}

/// The open work of many apps is settled in the record of its run once for each invocation of the
/// timer, not once for each app.
pub(crate) async fn settled_once() -> Report {
    const APPS: usize = 24;
    let plan = Plan {
        apps: APPS,
        secrets: 2,
        pins: true,
        instances: 1,
        configuration: "",
    };
    let rig = Rig::start(plan, |_| {}).await;
    rig.settle().await;
    rig.rotate(0);
    rig.app.settled().await;
    let store = rig.store();
    let pending = store.pending().await.len();
    assert_eq!(pending, APPS, "{}", rig.app.log());
    let runs = store.runs().await;
    let run = runs.last().unwrap()["id"].as_str().unwrap().to_owned();
    store.make_due().await;
    let from = rig.app.azure.cloud.requests().len();
    rig.app.reconcile().await;
    assert!(store.pending().await.is_empty(), "{}", rig.app.log());
    let requests = to_store(&rig, from);
    let writes = requests
        .iter()
        .filter(|it| it.method == "PUT" && it.path.contains("/runs/") && it.path.contains(&run));
    let writes = writes.count();
    // Some for each pass over what is due, and a slow machine needs more passes.
    assert!(writes <= APPS / 3, "{writes} writes of one record");
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note(format!(
        "the open work of {APPS} apps was settled with {writes} writes of the record of its run"
    ));
    report
}

/// A roll-back removes what other runs have left open for the same event, before it releases the
/// lease: the next holder may keep work of its own.
pub(crate) async fn others_first() -> Report {
    const OTHER: &str = "20260101T000000000Z-00000000";
    let plan = Plan {
        apps: 1,
        secrets: 2,
        pins: true,
        instances: 1,
        configuration: "answer_within_ms = 4000\n",
    };
    let rig = Rig::start(plan, |_| {}).await;
    rig.settle().await;
    let cloud = &rig.app.azure.cloud;
    let resolves = |status: ResolveStatus| {
        cloud.switch_off_faults();
        let effect = Effect::ReferenceStatus { status };
        cloud.switch_on(Fault::new(Service::ResourceManager, effect).path("SECOND"));
    };
    resolves(ResolveStatus::FetchTimedOut);
    rig.rotate(1);
    rig.app.settled().await;
    let store = rig.store();
    resolves(ResolveStatus::AccessToKeyVaultDenied);
    cloud.edit_settings("app-0", |_| {}).unwrap();
    store.make_due().await;
    let is_patch = |entry: &Value| entry["works"][0]["rollback"][0].is_object();
    let copied = store.copy_pending(OTHER, is_patch).await;
    assert_eq!(copied, 1, "{}", rig.app.log());
    let from = cloud.requests().len();
    rig.app.reconcile().await;
    let left = store.pending().await;
    assert!(left.is_empty(), "{left:?}\n{}", rig.app.log());
    let requests = to_store(&rig, from);
    // The other work is emptied before it is removed.
    let emptied = requests
        .iter()
        .rposition(|it| it.method == "PUT" && it.path.contains(OTHER));
    let released = requests.iter().rposition(|it| {
        it.method == "PUT" && it.path.contains("/apps/") && !it.path.contains("pending")
    });
    assert!(emptied <= released, "{emptied:?} {released:?}");
    assert_eq!(emptied.is_some(), rig.app.azurite.is_some());
    cloud.switch_off_faults();
    cloud.edit_settings("app-0", |_| {}).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    rig.rotate(1);
    rig.settle().await;
    let mut report = rig.ledger.check(&rig, 0).await;
    report.note("the open work of another run was removed under the lease of the roll-back");
    report
}
