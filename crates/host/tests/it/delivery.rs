//! Deliveries: the events that Event Grid delivers again, and those that it does not.

use keyrelay_local_azure::{Effect, Fault, Service};
use serde_json::json;

use crate::fixtures::{VAULT, event, reference};
use crate::harness::{client, field};
use crate::setup::Setup;

fn app() -> Setup {
    Setup::new().site("orders", &format!("SQL = \"{}\"", reference("sql")))
}

#[tokio::test]
async fn an_app_that_fails_for_a_passing_reason_is_tried_again_on_its_own() {
    let app = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .site("billing", &format!("SQL = \"{}\"", reference("sql")))
        .configured("answer_within_ms = 4000")
        .ideal()
        .start()
        .await;
    let busy = Fault::new(
        Service::ResourceManager,
        Effect::status(503, "ServiceUnavailable"),
    );
    app.azure
        .cloud
        .switch_on(busy.path("orders/config/configreferences"));
    app.rotate_and_settle("sql").await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "pending", "{}", app.log());
    assert!(
        message.contains("keyrelay tries the app again"),
        "{message}"
    );
    assert_eq!(app.outcome("billing").0, "verified", "{}", app.log());
    assert_eq!(app.azure.event_grid.deliveries().len(), 1);
    assert_eq!(app.pending().len(), 1, "{:?}", app.pending());

    // It fails once more, and stays one piece of work.
    app.make_due();
    app.reconcile().await;
    assert_eq!(app.pending().len(), 1, "{:?}", app.pending());

    app.azure.cloud.switch_off_faults();
    app.make_due();
    app.reconcile().await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    assert!(app.pending().is_empty(), "{:?}", app.pending());
}

#[tokio::test]
async fn brief_failures_are_retried_within_the_invocation() {
    let app = app().start().await;
    let busy = Fault::new(
        Service::ResourceManager,
        Effect::status(429, "TooManyRequests"),
    )
    .times(2);
    app.azure.cloud.switch_on(busy);
    app.azure.cloud.switch_on(
        Fault::new(Service::ResourceManager, Effect::Cut)
            .path("refresh")
            .times(1),
    );
    app.rotate_and_finish("sql").await;
    assert_eq!(app.outcome("orders").0, "refreshed", "{}", app.log());
    assert_eq!(app.azure.event_grid.deliveries().len(), 1);
}

#[tokio::test]
async fn permanent_failures_are_recorded_and_not_delivered_again() {
    let app = app().start().await;
    let gone =
        Fault::new(Service::ResourceManager, Effect::status(400, "BadRequest")).path("refresh");
    app.azure.cloud.switch_on(gone);
    app.rotate_and_settle("sql").await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "failed");
    assert!(message.contains("BadRequest"), "{message}");
    assert_eq!(app.azure.event_grid.deliveries().len(), 1);
}

#[tokio::test]
async fn a_delivered_batch_has_one_verdict_for_each_event() {
    let app = app().start().await;
    let version = app.azure.cloud.newest_version("contoso-kv", "sql").unwrap();
    let batch = json!([event("a", "sql", &version), { "id": "b" }, event("c", "other", "0")]);
    let url = app
        .azure
        .functions_host
        .handler_url()
        .unwrap()
        .join("SecretEvent")
        .unwrap();
    // Text is the form with `"cardinality": "many"`. An array can come from a manual request.
    for value in [json!(batch.to_string()), batch] {
        let response = client()
            .post(url.clone())
            .json(&json!({ "Data": { "event": value } }))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{}", app.log());
    }
    let ids: Vec<String> = app
        .verdicts()
        .iter()
        .map(|line| field(line, "event.id").to_owned())
        .collect();
    for id in ["a", "b", "c"] {
        assert_eq!(
            ids.iter().filter(|it| *it == id).count(),
            2,
            "{}",
            app.log()
        );
    }
}

#[tokio::test]
async fn an_invocation_is_named_in_the_log() {
    let app = app().start().await;
    app.rotate_and_settle("sql").await;
    let line = app.verdicts().pop().unwrap();
    let invocations = app.azure.functions_host.invocations();
    assert_eq!(field(&line, "invocation.id"), invocations[0].id);
    for name in [
        "event.id",
        "event.type",
        "secret.name",
        "secret.version",
        "app.id",
        "policy.digest",
        "requests",
    ] {
        assert!(
            !field(&line, name).is_empty(),
            "{name} is missing: {line:?}"
        );
    }
    assert!(line["duration_ms"].is_u64());
}

#[tokio::test]
async fn events_of_other_vaults_are_refused() {
    let app = app().configured("vaults = [\"another-kv\"]").start().await;
    app.rotate_and_settle("sql").await;
    let line = app.verdicts().pop().unwrap();
    assert_eq!(field(&line, "verdict"), "refused");
    assert_eq!(
        field(&line, "message"),
        "not handled: `vaults` does not list `contoso-kv`"
    );
    assert_eq!(app.requests("POST", "/refresh"), 0);
}

#[tokio::test]
async fn a_duplicate_has_the_same_id_and_the_same_object_and_version() {
    let settings = format!(
        "S = \"{}\", O = \"{}\"",
        reference("sql"),
        reference("other")
    );
    let app = Setup::new().site("orders", &settings).ideal().start().await;
    let newest = |secret| app.azure.cloud.newest_version(VAULT, secret).unwrap();
    let of = |secret: &str, version: &str| event("same-id", secret, version);
    let is_duplicate = || app.outcome("orders").1.contains("an earlier delivery");
    app.invoke(&of("sql", &newest("sql"))).await;
    assert!(!is_duplicate(), "{}", app.log());
    app.invoke(&of("other", &newest("other"))).await;
    assert!(!is_duplicate(), "{}", app.log());
    let next = app.azure.cloud.set_secret(VAULT, "sql", "next").unwrap();
    app.invoke(&of("sql", &next)).await;
    app.settled().await;
    let of_next = app
        .runs()
        .into_iter()
        .rfind(|run| run["event"]["id"] == "same-id" && run["event"]["version"] == next.as_str());
    let message = of_next.unwrap()["rotations"][0]["message"].to_string();
    assert!(!message.contains("an earlier delivery"), "{message}");
    app.invoke(&of("sql", &next)).await;
    assert!(is_duplicate(), "{}", app.log());
}

#[tokio::test]
async fn an_event_that_keyrelay_does_not_handle_is_no_error() {
    let app = Setup::new().start().await;
    let mut event = event("a", "sql", &"0".repeat(32));
    event["eventType"] = "Microsoft.KeyVault.VaultAccessPolicyChanged".into();
    event["data"] = json!({ "VaultName": VAULT, "ObjectType": "Vault", "ObjectName": VAULT });
    app.invoke(&event).await;
    let verdicts = app.verdicts();
    let of_event: Vec<&str> = verdicts.iter().map(|it| field(it, "verdict")).collect();
    assert_eq!(of_event, ["unchanged"], "{}", app.log());
    assert!(!app.log().contains("\"level\":\"ERROR\""), "{}", app.log());
}
