use reqwest::Method;
use serde_json::{Value, json};

use super::{ORDERS, SUBSCRIPTION, Stand, WORLD, ideal};

async fn list(stand: &Stand) -> Value {
    stand
        .manage(
            Method::POST,
            &format!("{ORDERS}/config/appsettings/list"),
            None,
        )
        .await
        .body
}

/// Checks the status and code of a write, with the error in the unwrapped or wrapped form.
async fn check(body: Option<Value>, expected: (u16, &str)) {
    let stand = Stand::start().await;
    let response = stand
        .manage(Method::PUT, &format!("{ORDERS}/config/appsettings"), body)
        .await;
    let code = response.body["Code"].as_str().unwrap_or(response.code());
    assert_eq!((response.status, code), expected, "{}", response.body);
    assert!(
        stand
            .cloud
            .settings("orders")
            .unwrap()
            .contains_key("PLAIN")
    );
}

#[tokio::test]
async fn a_write_replaces_the_whole_set() {
    let stand = Stand::start().await;
    let written = stand
        .put_settings(ORDERS, json!({ "A": "1", "b": "2" }))
        .await;
    assert_eq!(
        (written.status, &written.body["properties"]),
        (200, &json!({ "A": "1", "b": "2" }))
    );
    assert_eq!(list(&stand).await, written.body);
}

#[tokio::test]
async fn numbers_and_booleans_become_text() {
    let stand = Stand::start().await;
    let written = stand
        .put_settings(ORDERS, json!({ "A": 1, "B": true }))
        .await;
    assert_eq!(written.body["properties"], json!({ "A": "1", "B": "true" }));
}

#[tokio::test]
async fn rejects_invalid_settings() {
    check(Some(json!({})), (400, "BadRequest")).await;
    check(Some(json!({ "properties": null })), (400, "BadRequest")).await;
    check(
        Some(json!({ "properties": { "A": null } })),
        (400, "BadRequest"),
    )
    .await;
    check(
        Some(json!({ "properties": { "A": {} } })),
        (400, "BadRequest"),
    )
    .await;
    check(Some(json!({ "properties": ["A"] })), (400, "BadRequest")).await;
    check(None, (400, "InvalidRequestContent")).await;
}

#[tokio::test]
async fn another_writer_can_write() {
    let stand = Stand::start().await;
    let edit = stand.cloud.edit_settings("orders", |settings| {
        settings.insert("PLAIN".into(), "other".into());
    });
    edit.unwrap();
    assert_eq!(list(&stand).await["properties"]["PLAIN"], "other");
    let other = stand.cloud.settings(&ORDERS.to_lowercase()).unwrap();
    assert_eq!(other["PLAIN"].expose(), "other");
}

#[tokio::test]
async fn settings_do_not_print_themselves() {
    let stand = Stand::start().await;
    let printed = format!(
        "{:?} {:?}",
        stand.cloud.settings("orders").unwrap(),
        stand.cloud
    );
    assert!(
        !printed.contains("first") && !printed.contains("\"text\""),
        "{printed}"
    );
}

#[tokio::test]
async fn writes_are_published_to_whom_is_subscribed() {
    let world = format!("early_news = true\n{WORLD}");
    let mut stand = Stand::start_in(&world, ideal()).await;
    let staging = format!("{ORDERS}/slots/staging");
    for (app, operation) in [
        (ORDERS, "Microsoft.Web/sites/config/write"),
        (&staging, "Microsoft.Web/sites/slots/config/write"),
    ] {
        stand.put_settings(app, json!({ "A": "planted" })).await;
        let published = stand.events.try_recv().unwrap();
        assert_eq!(published.topic, format!("/subscriptions/{SUBSCRIPTION}"));
        let event = &published.event;
        assert_eq!(
            event["eventType"],
            "Microsoft.Resources.ResourceWriteSuccess"
        );
        assert_eq!(event["subject"], format!("{app}/config/appsettings"));
        assert_eq!(event["data"]["resourceUri"], event["subject"]);
        assert_eq!(event["data"]["operationName"], operation);
        assert!(!event.to_string().contains("planted"));
    }
    let mut silent = Stand::start().await;
    silent.put_settings(ORDERS, json!({ "A": "b" })).await;
    assert!(silent.events.try_recv().is_err());
}
