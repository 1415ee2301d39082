//! The host's reaction to each kind of response.

use std::time::Duration;

use futures::future::join_all;
use keyrelay_local_azure::functions_host::{
    HandlerStatus, Invocation, InvocationFailure, LogLevel, LogSource,
};
use serde_json::Value;

use crate::handler_app::{AppFolder, event, eventually, start};

async fn invoke(action: &str) -> Invocation {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    host.invoke("Event", &event(action)).await.unwrap()
}

async fn check_fails(action: &str, wanted: InvocationFailure) {
    assert_eq!(invoke(action).await.outcome, Err(wanted));
}

/// Checks that the invocation never completes, and that the handler is killed and restarted.
async fn check_hangs(action: &str) {
    let app = AppFolder::new();
    let mut options = app.options();
    options.function_timeout = Duration::from_millis(300);
    let host = start(options).await;
    let before = host.status();
    let invocation = host.invoke("Event", &event(action)).await.unwrap();
    assert_eq!(
        invocation.outcome,
        Err(InvocationFailure::TimedOut(Duration::from_millis(300)))
    );
    let after = eventually("the handler is restarted", || match host.status() {
        HandlerStatus::Starting => None,
        status if status == before => None,
        status => Some(status),
    })
    .await;
    assert!(matches!(after, HandlerStatus::Running { .. }), "{after}");
    assert_eq!(host.restarts(), 1);
}

#[tokio::test]
async fn a_json_object_is_a_success() {
    let response = invoke("echo").await.outcome.unwrap();
    assert_eq!(
        response
            .pointer("/ReturnValue/path")
            .and_then(Value::as_str),
        Some("/Event")
    );
}

#[tokio::test]
async fn the_logs_of_a_success_are_logged_within_the_invocation() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let invocation = host
        .invoke("Event", &event("logs told by the handler"))
        .await
        .unwrap();
    let lines = host.log().lines();
    let line = lines
        .iter()
        .find(|line| line.text == "told by the handler")
        .unwrap();
    assert_eq!(line.source, LogSource::Function("Event".to_owned()));
    assert_eq!(line.level, LogLevel::Information);
    assert_eq!(line.invocation_id.as_ref(), Some(&invocation.id));
}

#[tokio::test]
async fn an_empty_response_hangs() {
    check_hangs("empty").await;
}

#[tokio::test]
async fn no_content_hangs() {
    check_hangs("nothing 204").await;
}

#[tokio::test]
async fn another_success_without_a_body_hangs() {
    check_hangs("nothing 202").await;
}

#[tokio::test]
async fn null_hangs() {
    check_hangs("null").await;
}

#[tokio::test]
async fn no_response_hangs() {
    check_hangs("hang").await;
}

#[tokio::test]
async fn another_content_type_is_a_failure() {
    check_fails(
        "text",
        InvocationFailure::ContentType("text/plain; charset=utf-8".to_owned()),
    )
    .await;
}

#[tokio::test]
async fn broken_json_is_a_failure() {
    check_fails("broken", InvocationFailure::InvalidResponse("JSON")).await;
}

#[tokio::test]
async fn a_list_is_a_failure() {
    check_fails("list", InvocationFailure::InvalidResponse("a JSON object")).await;
}

#[tokio::test]
async fn client_and_server_errors_are_failures() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    for status in [400, 404, 429, 500, 503] {
        let invocation = host
            .invoke("Event", &event(&format!("status {status}")))
            .await
            .unwrap();
        assert_eq!(invocation.outcome, Err(InvocationFailure::Status(status)));
    }
    // The responses held a line in `Logs`.
    assert!(
        !host
            .log()
            .lines()
            .iter()
            .any(|line| line.text.contains("discarded"))
    );
}

#[tokio::test]
async fn a_temporary_redirect_is_followed_with_the_body() {
    let response = invoke("redirect 307").await.outcome.unwrap();
    let request = response.get("ReturnValue").unwrap();
    assert_eq!(request["path"], "/elsewhere");
    assert_eq!(request["method"], "POST");
    assert_eq!(
        request["body"]["Data"]["event"]["data"]["do"],
        "redirect 307"
    );
}

#[tokio::test]
async fn a_found_is_followed_with_get_and_without_the_body() {
    let response = invoke("redirect 302").await.outcome.unwrap();
    let request = response.get("ReturnValue").unwrap();
    assert_eq!(request["path"], "/elsewhere");
    assert_eq!(request["method"], "GET");
    assert_eq!(request["body"], Value::Null);
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_a_failure() {
    check_fails("nothing 302", InvocationFailure::Status(302)).await;
}

#[tokio::test]
async fn a_crash_fails_every_running_invocation() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let hang = event("hang");
    let invocations = join_all((0..3).map(|_| host.invoke("Event", &hang)));
    let kill = async {
        let hanging = || {
            host.log()
                .lines()
                .iter()
                .filter(|line| line.text == "out: hanging")
                .count()
        };
        eventually("three invocations hang", || (hanging() == 3).then_some(())).await;
        host.kill_handler();
    };
    let (invocations, ()) = futures::join!(invocations, kill);
    for invocation in invocations {
        let outcome = invocation.unwrap().outcome;
        assert!(
            matches!(outcome, Err(InvocationFailure::Connection(_))),
            "{outcome:?}"
        );
    }
}
