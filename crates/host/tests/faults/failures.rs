//! Every failure of Azure, during rotations.

use std::time::Duration;

use keyrelay_local_azure::{Effect, ErrorShape, Fault, Service};

use crate::report::Report;
use crate::rig::{Plan, Rig};

fn status(status: u16, code: &str, retry_after: Option<u32>) -> Effect {
    Effect::Status {
        status,
        code: code.to_owned(),
        shape: ErrorShape::Unwrapped,
        retry_after,
    }
}

/// The number of times that these faults can still strike.
fn strikes(faults: &[Fault]) -> u32 {
    faults.iter().filter_map(Fault::left).sum()
}

/// The failures, each with the faults that cause it.
fn failures() -> Vec<(&'static str, Vec<Fault>)> {
    let resource_manager = |effect: Effect| Fault::new(Service::ResourceManager, effect);
    // Without Azurite there are no requests to storage, so these faults do not strike.
    let storage = |effect: Effect| Fault::new(Service::Storage, effect);
    vec![
        (
            "429 with Retry-After",
            vec![resource_manager(status(429, "TooManyRequests", Some(1))).times(4)],
        ),
        (
            "429 without Retry-After",
            vec![resource_manager(status(429, "TooManyRequests", None)).times(12)],
        ),
        (
            "500",
            vec![resource_manager(status(500, "InternalServerError", None)).times(12)],
        ),
        (
            "503 on writes",
            vec![
                resource_manager(status(503, "ServiceUnavailable", None))
                    .method("PUT")
                    .times(8),
            ],
        ),
        (
            "409 on writes",
            vec![
                resource_manager(status(409, "Conflict", None))
                    .method("PUT")
                    .times(4),
            ],
        ),
        (
            "a response that never comes",
            vec![resource_manager(Effect::Hang).times(3)],
        ),
        (
            "late responses",
            vec![resource_manager(Effect::Delay { milliseconds: 700 }).times(20)],
        ),
        (
            "connections that break",
            vec![resource_manager(Effect::Cut).times(12)],
        ),
        (
            "writes whose response is lost",
            vec![resource_manager(Effect::Cut).method("PUT").times(4)],
        ),
        (
            "truncated responses",
            vec![resource_manager(Effect::HalfResponse).times(12)],
        ),
        (
            "writes that do not last",
            vec![resource_manager(Effect::LoseWrite).times(3)],
        ),
        (
            "a role that propagates slowly",
            vec![resource_manager(Effect::status(403, "AuthorizationFailed")).times(25)],
        ),
        (
            "no tokens",
            vec![Fault::new(Service::Identity, status(500, "Unavailable", None)).times(6)],
        ),
        (
            "a store that is busy",
            vec![storage(status(503, "ServerBusy", None)).times(15)],
        ),
        (
            "a store whose connections break",
            vec![storage(Effect::Cut).times(15)],
        ),
        (
            "writes to the store whose response is lost",
            vec![storage(Effect::Cut).method("PUT").times(8)],
        ),
        (
            "truncated responses of the store",
            vec![storage(Effect::HalfResponse).method("GET").times(8)],
        ),
        (
            "a vault that does not respond",
            vec![Fault::new(Service::KeyVault, Effect::Cut).times(10)],
        ),
    ]
}

pub(crate) async fn each() -> Report {
    let plan = Plan {
        apps: 8,
        secrets: 4,
        pins: true,
        instances: 2,
        configuration: "answer_within_ms = 5000\n",
    };
    let rig = Rig::start(plan, |_| {}).await;
    let mut report = Report::default();
    for (name, faults) in failures() {
        let (planned, cloud) = (strikes(&faults), &rig.app.azure.cloud);
        let can_strike = rig.app.azurite.is_some()
            || faults
                .iter()
                .all(|fault| fault.service() != Service::Storage);
        rig.ledger
            .watch(&rig.app, async {
                if faults
                    .iter()
                    .any(|fault| fault.service() == Service::Identity)
                {
                    // Tokens last for a day: without this, none would be requested.
                    cloud.revoke_tokens();
                }
                for fault in faults {
                    cloud.switch_on(fault);
                }
                for number in 0..8 {
                    rig.rotate(number);
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                rig.settle().await;
            })
            .await;
        let struck = planned - strikes(&cloud.faults());
        assert!(struck > 0 || !can_strike, "{name} did not strike");
        cloud.switch_off_faults();
        report.note(format!("survived: {name}, {struck} times"));
    }
    rig.ledger
        .watch(&rig.app, async {
            for number in 0..8 {
                rig.rotate(number);
                rig.app.azure.cloud.revoke_tokens();
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            rig.settle().await;
        })
        .await;
    report.note("survived: tokens that are refused during a run");
    let checked = rig.ledger.check(&rig, 0).await;
    Report {
        notes: report.notes,
        ..checked
    }
}
