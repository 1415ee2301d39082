//! The end of the handler, and its consequences.

use std::time::Duration;

use keyrelay_local_azure::functions_host::{FunctionsHost, HandlerStatus, InvocationFailure};

use crate::handler_app::{AppFolder, DEADLINE, client, event, eventually, start};

async fn final_status(host: &FunctionsHost) -> HandlerStatus {
    eventually("the handler is dead or stopped", || {
        Some(host.status()).filter(HandlerStatus::is_final)
    })
    .await
}

/// Starts a host whose handler performs this action at its start.
async fn start_with(app: &AppFolder, at_the_start: &str) -> FunctionsHost {
    let mut options = app.options();
    options
        .environment
        .push(("HANDLER_START".to_owned(), at_the_start.to_owned()));
    FunctionsHost::start(options).await.unwrap()
}

async fn crash(host: &FunctionsHost, restarts_after: u64) {
    host.kill_handler();
    eventually("the handler is restarted", || {
        (host.restarts() == restarts_after).then_some(())
    })
    .await;
    host.wait_while_starting().await;
}

#[tokio::test]
async fn exit_code_zero_leaves_the_app_dead() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    host.invoke("Event", &event("exit 0")).await.unwrap();
    assert_eq!(final_status(&host).await, HandlerStatus::Dead(0));
    let failure = host
        .invoke("Event", &event("echo"))
        .await
        .unwrap()
        .outcome
        .unwrap_err();
    assert_eq!(
        failure,
        InvocationFailure::NoHandler(HandlerStatus::Dead(0))
    );
    assert_eq!(host.restarts(), 0);
}

#[tokio::test]
async fn exit_code_200_is_a_restart_that_does_not_count() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    for restarts in 1..=4 {
        host.invoke("Event", &event("exit 200")).await.unwrap();
        eventually("the handler is restarted", || {
            (host.restarts() == restarts).then_some(())
        })
        .await;
        host.wait_while_starting().await;
    }
    assert!(
        host.invoke("Event", &event("echo"))
            .await
            .unwrap()
            .outcome
            .is_ok()
    );
}

#[tokio::test]
async fn a_crash_fails_the_invocation() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let invocation = host.invoke("Event", &event("exit 3")).await.unwrap();
    assert!(
        matches!(invocation.outcome, Err(InvocationFailure::Connection(_))),
        "{invocation:?}"
    );
    eventually("the handler is restarted", || {
        (host.restarts() == 1).then_some(())
    })
    .await;
    // An invocation waits for a starting handler.
    assert!(
        host.invoke("Event", &event("echo"))
            .await
            .unwrap()
            .outcome
            .is_ok()
    );
}

#[tokio::test]
async fn the_third_crash_stops_the_host() {
    let app = AppFolder::new();
    let host = start_with(&app, "exit 7").await;
    let HandlerStatus::Stopped(reason) = final_status(&host).await else {
        panic!("{}", host.status())
    };
    assert!(reason.contains("exited with code 7"), "{reason}");
    assert_eq!(host.restarts(), 2);
}

#[tokio::test]
async fn a_kill_counts_as_a_crash() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    crash(&host, 1).await;
    crash(&host, 2).await;
    host.kill_handler();
    assert!(matches!(
        final_status(&host).await,
        HandlerStatus::Stopped(_)
    ));
}

#[tokio::test]
async fn crashes_far_apart_do_not_stop_the_host() {
    let app = AppFolder::new();
    let mut options = app.options();
    options.crash_interval = Duration::ZERO;
    let host = start(options).await;
    for restarts in 1..=4 {
        crash(&host, restarts).await;
    }
    assert!(matches!(host.status(), HandlerStatus::Running { .. }));
}

#[tokio::test]
async fn a_handler_that_never_responds_does_not_start() {
    let app = AppFolder::new();
    let mut options = app.options();
    options
        .environment
        .push(("HANDLER_START".to_owned(), "mute".to_owned()));
    options.start_timeout = Duration::from_millis(300);
    let host = FunctionsHost::start(options).await.unwrap();
    let HandlerStatus::Stopped(reason) = final_status(&host).await else {
        panic!("{}", host.status())
    };
    assert!(
        reason.contains("did not respond to `GET /` in time"),
        "{reason}"
    );
}

#[tokio::test]
async fn stop_kills_the_handler_without_a_restart() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let handler = host.handler_url().unwrap();
    host.stop().await;
    assert!(matches!(host.status(), HandlerStatus::Stopped(_)));
    assert_eq!(host.handler_url(), None);
    assert!(
        client()
            .get(handler)
            .send()
            .await
            .is_err_and(|error| error.is_connect())
    );
}

#[tokio::test]
async fn the_handler_is_killed_when_the_host_is_dropped() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let handler = host.handler_url().unwrap();
    drop(host);
    let responses = async {
        while client().get(handler.clone()).send().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, responses).await.unwrap();
}
