//! The handler is killed with SIGKILL: at every step of a rotation, and at random points.

use std::time::Duration;

use keyrelay_local_azure::{Intercept, Moment, Service, Then};

use crate::report::Report;
use crate::rig::{Plan, Rig};

/// A step of a rotation, by the request that it begins or ends with.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    service: Service,
    method: &'static str,
    path: &'static str,
    nth: usize,
}

pub(crate) const fn step(
    name: &'static str,
    service: Service,
    method: &'static str,
    path: &'static str,
    nth: usize,
) -> Step {
    Step {
        name,
        service,
        method,
        path,
        nth,
    }
}

impl Step {
    /// Whether the step makes a request. A store in a folder gets none.
    pub(crate) fn can_be_met(&self, rig: &Rig) -> bool {
        self.service != Service::Storage || rig.app.azurite.is_some()
    }
}

/// The path of requests about the app's settings.
pub(crate) const SETTINGS: &str = "app-0/config/appsettings";
/// The path of reads of the app's settings.
pub(crate) const SETTINGS_LIST: &str = "app-0/config/appsettings/list";
/// The path of requests about the app's references.
const REFERENCES: &str = "app-0/config/configreferences";
/// The document of the app in the store, with its lease and its applied versions.
pub(crate) const STATE: &str = "shop/app-0.json";
/// The progress of the comparison in the store.
const COMPARISON: &str = "/pending/comparison/";
/// The request for a sweep in the store.
const SWEEP: &str = "/pending/sweep/";
/// The state of the index in the store.
const INDEX_STATE: &str = "/index/state.json";
/// The pending work of the app in the store.
const PENDING: &str = "shop/app-0/";

/// The steps of a rotation that patches, in order.
const PATCH: &[Step] = &[
    step("admit", Service::KeyVault, "GET", "/versions", 1),
    step("read the index", Service::Storage, "GET", "/index/", 1),
    step("lease", Service::Storage, "PUT", STATE, 1),
    step(
        "read references",
        Service::ResourceManager,
        "GET",
        REFERENCES,
        1,
    ),
    step("read", Service::ResourceManager, "POST", SETTINGS_LIST, 1),
    step("record the intent", Service::Storage, "PUT", PENDING, 1),
    step("fence", Service::Storage, "PUT", STATE, 2),
    step(
        "read again",
        Service::ResourceManager,
        "POST",
        SETTINGS_LIST,
        2,
    ),
    step("write", Service::ResourceManager, "PUT", SETTINGS, 1),
    step(
        "check for an overwrite",
        Service::ResourceManager,
        "POST",
        SETTINGS_LIST,
        3,
    ),
    step(
        "read back",
        Service::ResourceManager,
        "POST",
        SETTINGS_LIST,
        4,
    ),
    step("release", Service::Storage, "PUT", STATE, 3),
    step("verify", Service::ResourceManager, "GET", REFERENCES, 2),
    step("forget", Service::Storage, "POST", "/keyrelay", 1),
    step("request a sweep", Service::Storage, "PUT", SWEEP, 1),
    step("update the index", Service::Storage, "PUT", "/index/", 1),
    step("record", Service::Storage, "PUT", "/runs/", 1),
    step("claim the sweep", Service::Storage, "PUT", COMPARISON, 1),
    step("begin the sweep", Service::Storage, "PUT", COMPARISON, 2),
    step(
        "sweep",
        Service::ResourceManager,
        "GET",
        "/providers/Microsoft.Web/sites",
        1,
    ),
    step("end the sweep", Service::Storage, "PUT", INDEX_STATE, 1),
    step("keep the progress", Service::Storage, "PUT", COMPARISON, 3),
];

/// The steps of a rotation, and of the sweep after it, without an index.
const WITHOUT_INDEX: &[Step] = &[
    step(
        "discover",
        Service::ResourceManager,
        "GET",
        "/providers/Microsoft.Web/sites",
        1,
    ),
    step(
        "discover references",
        Service::ResourceManager,
        "GET",
        REFERENCES,
        1,
    ),
    step("write the index", Service::Storage, "PUT", "/index/", 1),
    step(
        "write the index again",
        Service::Storage,
        "PUT",
        "/index/",
        2,
    ),
    step(
        "end the first sweep",
        Service::Storage,
        "PUT",
        INDEX_STATE,
        1,
    ),
];

/// The steps that a rotation has instead if it refreshes.
const REFRESH: &[Step] = &[
    step("lease to refresh", Service::Storage, "PUT", STATE, 1),
    step("fence a refresh", Service::Storage, "PUT", STATE, 2),
    step("refresh", Service::ResourceManager, "POST", REFERENCES, 1),
    step(
        "refresh again, in the timer",
        Service::ResourceManager,
        "POST",
        REFERENCES,
        2,
    ),
    step("claim pending work", Service::Storage, "PUT", PENDING, 2),
    step("release after a refresh", Service::Storage, "PUT", STATE, 3),
    step(
        "verify a refresh",
        Service::ResourceManager,
        "GET",
        REFERENCES,
        2,
    ),
    step("record a refresh", Service::Storage, "PUT", "/runs/", 1),
];

/// The time that a refresh takes in the stand-in.
const REFRESHED: Duration = Duration::from_millis(350);

fn plan() -> Plan {
    // Both apps reference both secrets; the steps are those of the first.
    Plan {
        apps: 2,
        secrets: 2,
        pins: true,
        instances: 1,
        configuration: "lease_ms = 1000",
    }
}

/// Kills the handler when the request of a step arrives, or after it was carried out and before its
/// response.
pub(crate) async fn kill_at(rig: &Rig, step: &Step, moment: Moment, secret: usize) -> bool {
    // A refresh of the killed process would resolve the new version, and leave nothing to do.
    tokio::time::sleep(REFRESHED).await;
    rig.store().end_comparison().await;
    let kill = rig.app.azure.functions_host.handler_kill(0).unwrap();
    let intercept = Intercept::new(step.service, moment)
        .method(step.method)
        .path(step.path)
        .nth(step.nth);
    let struck = rig
        .app
        .azure
        .cloud
        .intercept(intercept, move || async move {
            kill.killed().await;
            // A request that was carried out stays so without its sender; one that was not is lost
            // with it.
            if moment == Moment::Arrived {
                Then::Drop
            } else {
                Then::GoOn
            }
        });
    rig.rotate(secret);
    rig.settle().await;
    // The response to the killed process is on its way.
    tokio::time::sleep(Duration::from_millis(300)).await;
    rig.app.azure.cloud.clear_intercepts();
    struck.has_struck()
}

pub(crate) async fn at_every_step() -> Report {
    let rig = Rig::start(plan(), |_| {}).await;
    let mut kills = 0;
    let mut names = Vec::new();
    rig.ledger
        .watch(&rig.app, async {
            // Makes the index.
            rig.app.reconcile().await;
            for (steps, secret) in [(PATCH, 1), (REFRESH, 0)] {
                for step in steps.iter().filter(|step| step.can_be_met(&rig)) {
                    for moment in [Moment::Arrived, Moment::CarriedOut] {
                        let struck = kill_at(&rig, step, moment, secret).await;
                        assert!(
                            struck,
                            "no request of the step `{}` was met\n{}",
                            step.name,
                            rig.app.log()
                        );
                        kills += 1;
                    }
                    names.push(step.name);
                }
            }
        })
        .await;
    let mut report = rig.ledger.check(&rig, kills).await;
    report.note(format!("killed before and after: {}", names.join(", ")));
    report
}

/// The index is lost before each kill, and two instances make it again.
pub(crate) async fn while_it_writes_the_index() -> Report {
    let rig = Rig::start(
        Plan {
            instances: 2,
            ..plan()
        },
        |_| {},
    )
    .await;
    let mut kills = 0;
    rig.ledger
        .watch(&rig.app, async {
            let steps = WITHOUT_INDEX.iter().filter(|step| step.can_be_met(&rig));
            for step in steps {
                for moment in [Moment::Arrived, Moment::CarriedOut] {
                    rig.store().lose_index().await;
                    rig.store().make_comparison_due().await;
                    let struck = kill_at(&rig, step, moment, 1).await;
                    kills += usize::from(struck);
                    expect_index(&rig, step.name).await;
                }
            }
        })
        .await;
    assert!(kills >= 4, "{kills} kills");
    rig.ledger.check(&rig, kills).await
}

/// The next sweep has made the index: it has both apps for each of both secrets.
async fn expect_index(rig: &Rig, step: &str) {
    rig.store().make_comparison_due().await;
    rig.app.reconcile().await;
    let index = rig.store().index().await;
    assert!(index.contains_key("index/state.json"), "{step}: {index:?}");
    let mut users = 0;
    for shard in index.values() {
        let secrets = shard["secrets"].as_object();
        for secret in secrets.into_iter().flat_map(|it| it.values()) {
            users += secret["apps"].as_object().unwrap().len();
        }
    }
    assert_eq!(users, 4, "{step}: {index:?}\n{}", rig.app.log());
}

pub(crate) async fn at_random() -> Report {
    const POINTS: usize = 60;
    let plan = Plan {
        apps: 8,
        secrets: 4,
        pins: true,
        instances: 2,
        configuration: "lease_ms = 2000",
    };
    let rig = Rig::start(plan, |_| {}).await;
    // A linear congruential generator, so that every run has the same points.
    let mut seed = 20_261_123_u32;
    let mut random = move |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    let host = &rig.app.azure.functions_host;
    rig.ledger
        .watch(&rig.app, async {
            for point in 0..POINTS {
                rig.rotate(point);
                rig.rotate(point + 1);
                tokio::time::sleep(Duration::from_millis(u64::from(random(250)))).await;
                host.handler_kill(point % 2).unwrap().killed().await;
                if point % 6 == 5 {
                    // The timer has to survive a kill as well as an event does.
                    let kill = async {
                        tokio::time::sleep(Duration::from_millis(u64::from(random(150)))).await;
                        for instance in 0..2 {
                            host.handler_kill(instance).unwrap().killed().await;
                        }
                    };
                    futures::join!(rig.app.reconcile(), kill);
                }
                if point % 10 == 9 {
                    rig.settle().await;
                }
            }
            rig.settle().await;
        })
        .await;
    rig.ledger
        .check(&rig, POINTS + 2 * POINTS.div_ceil(6))
        .await
}
