//! Concurrent decisions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keyrelay_model::Decision;
use keyrelay_sandbox::{AppView, Compilation, DecideError, PolicyLimits, Sandbox};

use crate::guest::{Guest, decide, event, load};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_endless_loops_do_not_stop_the_others() {
    let sandbox = Sandbox::new(Compilation::InProcess).unwrap();
    let endless = Guest::deciding("(loop $again (br $again)) (unreachable)");
    let good = Arc::new(
        sandbox
            .load("good", Guest::refreshing().component())
            .await
            .unwrap(),
    );
    let hostile = Arc::new(sandbox.load("hostile", endless.component()).await.unwrap());
    let mut tasks = Vec::new();
    for number in 0..200 {
        let is_hostile = number % 4 == 0;
        let policy = Arc::clone(if is_hostile { &hostile } else { &good });
        let task =
            tokio::spawn(async move { decide(&policy, &format!("event-{number}"), &[]).await });
        tasks.push((is_hostile, task));
    }
    for (is_hostile, task) in tasks {
        let decided = task
            .await
            .unwrap()
            .map(|decided| decided.decision)
            .map_err(|undecided| undecided.error);
        match is_hostile {
            true => assert!(
                matches!(decided, Err(DecideError::Time { .. })),
                "{decided:?}"
            ),
            false => assert_eq!(decided, Ok(Decision::Refresh)),
        }
    }
}

#[tokio::test]
async fn a_running_decision_can_be_cancelled() {
    let endless = Guest::deciding("(loop $again (br $again)) (unreachable)");
    let policy = load(endless.component()).await.unwrap();
    let an_hour = PolicyLimits {
        time: Duration::from_secs(3600),
        ..PolicyLimits::default()
    };
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders"
        .parse()
        .unwrap();
    let app = AppView {
        id: &id,
        settings: &[],
        parameters: &BTreeMap::new(),
        grant: &keyrelay_model::Grant::default(),
    };
    let event = event("event-1");
    // The policy runs on the only thread of this test, so the timeout fires only if the policy
    // yields.
    let decided = tokio::time::timeout(
        Duration::from_millis(20),
        policy.decide(&event, &app, &an_hour),
    )
    .await;
    assert!(decided.is_err());
    assert!(matches!(
        decide(&policy, "event-2", &[]).await.unwrap_err().error,
        DecideError::Time { .. }
    ));
}

#[tokio::test]
async fn a_policy_outlives_the_sandbox_it_came_from() {
    let policy = load(Guest::refreshing().component()).await.unwrap();
    assert_eq!(
        decide(&policy, "event-1", &[]).await.unwrap().decision,
        Decision::Refresh
    );
}
