use std::time::Duration;

use keyrelay_azure::{Failure, Operation, RequestLimits};
use keyrelay_model::{Retryability, SettingValue, Settings, error_chain};
use serde_json::json;

use crate::fake::{Fake, ORDERS, Reply, call, orders, respond, within};

fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), SettingValue::new(*value)))
        .collect()
}

/// Reads settings from a response that must be rejected, and returns the text of the error.
async fn refused(body: &str) -> String {
    let body = body.to_owned();
    let fake = Fake::start([Reply::Response {
        status: 200,
        headers: vec![],
        body,
    }])
    .await;
    let error = fake
        .resource_manager()
        .settings(&orders(), &call())
        .await
        .unwrap_err();
    assert!(matches!(error.failure, Failure::Unreadable(_)), "{error:?}");
    assert_eq!(error.retryability(), Retryability::Transient);
    format!("{} {error:?}", error_chain(&error))
}

#[tokio::test]
async fn a_read_is_an_empty_post() {
    let fake = Fake::start([respond(200, json!({ "properties": { "A": "1", "B": "" } }))]).await;
    let read = fake
        .resource_manager()
        .settings(&orders(), &call())
        .await
        .unwrap();
    assert_eq!(read, settings(&[("A", "1"), ("B", "")]));
    let [request] = &fake.seen()[..] else {
        panic!("one request")
    };
    assert_eq!(
        request.line,
        format!("POST {ORDERS}/config/appsettings/list?api-version=2025-05-01")
    );
    assert_eq!(request.headers["content-length"], "0");
    assert_eq!(request.headers["authorization"], "Bearer token-1");
    assert!(
        request.headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("keyrelay/")
    );
    assert!(!request.headers.contains_key("transfer-encoding"));
}

#[tokio::test]
async fn a_write_replaces_all_settings_and_returns_those_of_azure() {
    let fake = Fake::start([respond(
        200,
        json!({ "properties": { "A": "1", "X": "of azure" } }),
    )])
    .await;
    let written = settings(&[("A", "1"), ("B:C", "\"quoted\"")]);
    let held = fake
        .resource_manager()
        .write_settings(&orders(), &written, &call())
        .await
        .unwrap();
    assert_eq!(held, settings(&[("A", "1"), ("X", "of azure")]));
    let [request] = &fake.seen()[..] else {
        panic!("one request")
    };
    assert_eq!(
        request.line,
        format!("PUT {ORDERS}/config/appsettings?api-version=2025-05-01")
    );
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(
        request.body,
        r#"{"properties":{"A":"1","B:C":"\"quoted\""}}"#
    );
}

#[tokio::test]
async fn a_slot_has_its_own_settings() {
    let fake = Fake::start([respond(200, json!({ "properties": {} }))]).await;
    let slot = format!("{ORDERS}/slots/staging").parse().unwrap();
    assert!(
        fake.resource_manager()
            .settings(&slot, &call())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        fake.lines(),
        [format!(
            "POST {ORDERS}/slots/staging/config/appsettings/list?api-version=2025-05-01"
        )]
    );
}

#[tokio::test]
async fn an_endpoint_may_have_a_path_and_its_own_api_version() {
    let fake = Fake::start([respond(200, json!({ "properties": {} }))]).await;
    let mut cloud = fake.cloud();
    cloud.resource_manager = format!("{}/arm/", fake.origin).parse().unwrap();
    cloud.web_api_version = "2024-11-01".to_owned();
    let http = keyrelay_azure::Http::new().unwrap();
    let manager =
        keyrelay_azure::ResourceManager::new(&cloud, crate::fake::credential(), http).unwrap();
    manager.settings(&orders(), &call()).await.unwrap();
    assert_eq!(
        fake.lines(),
        [format!(
            "POST /arm{ORDERS}/config/appsettings/list?api-version=2024-11-01"
        )]
    );
}

#[tokio::test]
async fn an_incomplete_set_is_an_error() {
    for body in [
        "",
        "null",
        "{}",
        "[]",
        r#"{"properties":null}"#,
        r#"{"properties":{"A":"1"}"#,
        "<html></html>",
    ] {
        refused(body).await;
    }
    let text = refused(r#"{"properties":{"A":"1","B":null}}"#).await;
    assert!(text.contains("the value of `B` is not a string"), "{text}");
}

#[tokio::test]
async fn an_unreadable_response_is_not_quoted() {
    for body in [
        r#"{"properties":"planted"}"#,
        r#"{"properties":{"A":{"planted":"planted"}}}"#,
        r#"{"properties":{"A":["planted"]}}"#,
        r#"{"properties":{"A":"planted" "planted"}}"#,
        r#""planted""#,
        "planted",
    ] {
        let text = refused(body).await;
        assert!(!text.contains("planted"), "{text}");
    }
}

#[tokio::test]
async fn a_response_larger_than_the_limit_is_an_error() {
    let fake = Fake::start([respond(
        200,
        json!({ "properties": { "A": "x".repeat(2000) } }),
    )])
    .await;
    let manager = fake.resource_manager_with(RequestLimits {
        response_bytes: 1000,
        ..RequestLimits::default()
    });
    let error = manager.settings(&orders(), &call()).await.unwrap_err();
    assert!(
        matches!(error.failure, Failure::TooLarge { limit: 1000 }),
        "{error:?}"
    );
    assert_eq!(error.retryability(), Retryability::Permanent);
}

#[tokio::test]
async fn a_request_is_recorded_with_its_ids() {
    let reply = respond(200, json!({ "properties": {} }))
        .with("x-ms-request-id", "request-1")
        .with("x-ms-correlation-request-id", "correlation-1");
    let fake = Fake::start([reply, respond(404, json!({}))]).await;
    let (manager, call) = (fake.resource_manager(), call());
    manager.settings(&orders(), &call).await.unwrap();
    manager
        .settings(&orders(), &call.clone())
        .await
        .unwrap_err();
    let [first, second] = &call.log.records()[..] else {
        panic!("two records")
    };
    assert_eq!(
        (first.operation, first.subject.as_str()),
        (Operation::ReadSettings, "orders")
    );
    assert_eq!((first.status, first.attempts), (Some(200), 1));
    assert_eq!(first.ids.request.as_deref(), Some("request-1"));
    assert_eq!(first.ids.correlation.as_deref(), Some("correlation-1"));
    assert_eq!(
        (second.status, second.ids.request.as_deref()),
        (Some(404), None)
    );
}

#[tokio::test]
async fn no_call_exceeds_its_deadline() {
    let fake = Fake::start([Reply::Never]).await;
    let call = within(Duration::from_millis(300));
    let error = fake
        .resource_manager()
        .settings(&orders(), &call)
        .await
        .unwrap_err();
    assert!(
        matches!(error.failure, Failure::TimedOut { .. }),
        "{error:?}"
    );
    assert_eq!(
        (error.retryability(), fake.seen().len()),
        (Retryability::Transient, 1)
    );
    // After the deadline, no request is sent.
    let error = fake
        .resource_manager()
        .settings(&orders(), &call)
        .await
        .unwrap_err();
    assert_eq!(
        (error.retryability(), fake.seen().len()),
        (Retryability::Transient, 1)
    );
}

#[tokio::test]
async fn nothing_prints_a_token_or_a_value() {
    let fake = Fake::start([respond(200, json!({ "properties": { "A": "planted" } }))]).await;
    let (manager, call) = (fake.resource_manager(), call());
    let read = manager.settings(&orders(), &call).await.unwrap();
    let printed = format!("{manager:?} {call:?} {read:?}");
    assert!(
        !printed.contains("planted") && !printed.contains("token-1"),
        "{printed}"
    );
}
