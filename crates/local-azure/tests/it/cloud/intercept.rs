use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keyrelay_local_azure::{Cloud, Effect, Fault, Intercept, Moment, Service, Then, World};
use reqwest::Method;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::{ORDERS, Stand, WORLD};
use crate::handler_app::{AppFolder, event, start};

fn write(moment: Moment) -> Intercept {
    Intercept::new(Service::ResourceManager, moment)
        .method("put")
        .path("Config/AppSettings")
}

async fn put(stand: &Stand, value: &str) -> reqwest::Result<super::TestResponse> {
    let body = json!({ "properties": { "PLAIN": value } });
    stand
        .try_manage(
            Method::PUT,
            &format!("{ORDERS}/config/appsettings"),
            Some(body),
        )
        .await
}

fn plain(stand: &Stand) -> String {
    stand.cloud.settings("orders").unwrap()["PLAIN"]
        .expose()
        .to_owned()
}

/// Checks the status of a request intercepted at a moment, and the setting afterwards.
async fn check(moment: Moment, then: Then, status: Option<u16>, setting: &str) {
    let stand = Stand::start().await;
    let interception = stand.cloud.intercept(write(moment), move || ready(then));
    assert!(!interception.has_struck());
    let response = put(&stand, "new").await;
    assert_eq!(
        response.as_ref().ok().map(|response| response.status),
        status,
        "{response:?}"
    );
    assert!(interception.has_struck() && interception.struck().await);
    assert_eq!(plain(&stand), setting);
    assert_eq!(stand.cloud.requests().last().unwrap().status, status);
}

#[tokio::test]
async fn a_continued_request_is_executed_normally() {
    check(Moment::Arrived, Then::GoOn, Some(200), "new").await;
    check(Moment::CarriedOut, Then::GoOn, Some(200), "new").await;
}

#[tokio::test]
async fn a_request_dropped_on_arrival_is_not_executed() {
    check(Moment::Arrived, Then::Drop, None, "text").await;
}

#[tokio::test]
async fn a_request_dropped_after_execution_takes_effect() {
    check(Moment::CarriedOut, Then::Drop, None, "new").await;
}

#[tokio::test]
async fn the_moment_is_exact() {
    let stand = Stand::start().await;
    let writer = stand.cloud.writer("other");
    let seen = Arc::new(AtomicUsize::new(0));
    // The write on arrival is overwritten by the request. The write after the execution stays.
    for (moment, setting) in [(Moment::Arrived, "BEFORE"), (Moment::CarriedOut, "AFTER")] {
        let (writer, seen) = (writer.clone(), Arc::clone(&seen));
        stand.cloud.intercept(write(moment), move || async move {
            writer.set("orders", setting, "x").unwrap();
            seen.fetch_add(1, Ordering::SeqCst);
            Then::GoOn
        });
    }
    assert_eq!(put(&stand, "new").await.unwrap().status, 200);
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    let settings: Vec<_> = stand
        .cloud
        .settings("orders")
        .unwrap()
        .into_keys()
        .collect();
    assert_eq!(settings, ["AFTER", "PLAIN"]);
}

#[tokio::test]
async fn the_request_waits_for_the_test() {
    let stand = Stand::start().await;
    let (arrived_sender, arrived) = oneshot::channel();
    let (go_on, wait) = oneshot::channel::<()>();
    let interception = stand
        .cloud
        .intercept(write(Moment::Arrived), || async move {
            arrived_sender.send(()).unwrap();
            wait.await.unwrap();
            Then::GoOn
        });
    let test = async {
        arrived.await.unwrap();
        assert_eq!(
            (plain(&stand).as_str(), interception.has_struck()),
            ("text", false)
        );
        go_on.send(()).unwrap();
    };
    let (response, ()) = tokio::join!(put(&stand, "new"), test);
    assert_eq!(response.unwrap().status, 200);
    assert!(interception.struck().await);
}

#[tokio::test]
async fn only_the_nth_match_is_intercepted() {
    let stand = Stand::start().await;
    let interception = stand
        .cloud
        .intercept(write(Moment::Arrived).nth(2), || ready(Then::Drop));
    assert!(put(&stand, "one").await.is_ok());
    // Requests with another method, path or service do not count.
    stand
        .manage(
            Method::POST,
            &format!("{ORDERS}/config/appsettings/list"),
            None,
        )
        .await;
    stand.manage(Method::PUT, ORDERS, None).await;
    stand
        .vault(Method::PUT, "/secrets/config/appsettings", None)
        .await;
    assert!(!interception.has_struck());
    assert!(put(&stand, "two").await.is_err());
    assert!(put(&stand, "three").await.is_ok());
    assert_eq!(plain(&stand), "three");
}

#[tokio::test]
async fn a_request_failed_by_a_fault_is_not_executed() {
    let stand = Stand::start().await;
    let refuse = Fault::new(Service::ResourceManager, Effect::status(503, "Busy"))
        .method("PUT")
        .times(1);
    stand.cloud.switch_on(refuse);
    let arrived = stand
        .cloud
        .intercept(write(Moment::Arrived), || ready(Then::GoOn));
    let carried_out = stand
        .cloud
        .intercept(write(Moment::CarriedOut), || ready(Then::GoOn));
    assert_eq!(put(&stand, "new").await.unwrap().status, 503);
    assert_eq!(
        (arrived.has_struck(), carried_out.has_struck()),
        (true, false)
    );
    put(&stand, "new").await.unwrap();
    assert!(carried_out.has_struck());
}

#[tokio::test]
async fn a_request_without_a_valid_token_is_not_intercepted() {
    let stand = Stand::start().await;
    let interception = stand.cloud.intercept(
        Intercept::new(Service::ResourceManager, Moment::Arrived),
        || ready(Then::Drop),
    );
    let url = stand
        .cloud
        .resource_manager_url()
        .join(&format!("{ORDERS}?api-version=2025-05-01"))
        .unwrap();
    assert_eq!(stand.send(stand.http.get(url)).await.unwrap().status, 401);
    assert!(!interception.has_struck());
}

#[tokio::test]
async fn a_removed_interception_never_triggers() {
    let stand = Stand::start().await;
    let interception = stand
        .cloud
        .intercept(write(Moment::Arrived), || ready(Then::Drop));
    stand.cloud.clear_intercepts();
    assert!(!interception.struck().await);
    assert_eq!(put(&stand, "new").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_request_is_executed_after_its_client_is_gone() {
    let stand = Stand::start().await;
    let (arrived_sender, arrived) = oneshot::channel();
    let (go_on, wait) = oneshot::channel::<()>();
    stand
        .cloud
        .intercept(write(Moment::Arrived), || async move {
            arrived_sender.send(()).unwrap();
            wait.await.unwrap();
            Then::GoOn
        });
    let carried_out = stand
        .cloud
        .intercept(write(Moment::CarriedOut), || ready(Then::GoOn));
    tokio::select! {
        _ = put(&stand, "new") => panic!("it got a response"),
        arrived = arrived => arrived.unwrap(),
    }
    // During this request the server notices the end of the other connection.
    stand.get(ORDERS).await;
    assert_eq!(plain(&stand), "text");
    go_on.send(()).unwrap();
    assert!(carried_out.struck().await);
    assert_eq!(plain(&stand), "new");
}

/// Kills a handler when its request for a token reaches a moment. Returns the number of issued
/// tokens.
async fn kill_at(moment: Moment, then: Then) -> usize {
    let (sender, _events) = mpsc::unbounded_channel();
    let cloud = Cloud::start(World::parse(WORLD).unwrap(), Default::default(), sender)
        .await
        .unwrap();
    let app = AppFolder::new();
    let mut options = app.options();
    options.environment = cloud.environment();
    let host = start(options).await;
    let kill = host.handler_kill(0).unwrap();
    let carried_out = Arc::new(AtomicUsize::new(0));
    let interception = cloud.intercept(
        Intercept::new(Service::Identity, moment),
        move || async move {
            kill.killed().await;
            then
        },
    );
    let counted = Arc::clone(&carried_out);
    let count = cloud.intercept(
        Intercept::new(Service::Identity, Moment::CarriedOut),
        move || {
            counted.fetch_add(1, Ordering::SeqCst);
            ready(Then::GoOn)
        },
    );
    let outcome = host.invoke("Event", &event("token")).await.unwrap().outcome;
    assert!(outcome.is_err(), "{outcome:?}");
    assert!(interception.struck().await);
    if then == Then::GoOn {
        assert!(count.struck().await);
    }
    carried_out.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_handler_is_killed_at_an_exact_moment() {
    assert_eq!(kill_at(Moment::Arrived, Then::Drop).await, 0);
    assert_eq!(kill_at(Moment::Arrived, Then::GoOn).await, 1);
    assert_eq!(kill_at(Moment::CarriedOut, Then::Drop).await, 1);
}
