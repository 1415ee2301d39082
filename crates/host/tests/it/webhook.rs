//! `keyrelay-host --webhook`: handshakes, rotations, and the end of the process.

use keyrelay_local_azure::event_grid::{DeliveryOutcome, DeliverySchema};
use keyrelay_local_azure::{Effect, Fault, Service};
use serde_json::{Value, json};
use std::process::Output;

use crate::fixtures::reference;
use crate::harness::field;
use crate::setup::Setup;
use crate::webhook_harness::{Webhook, app, cloud_event};

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = std::process::Command::new(env!("CARGO_BIN_EXE_keyrelay-host"))
        .args(arguments)
        .env_clear()
        .env("FUNCTIONS_APP_ROOT_PATH", folder.path())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (
        status.code(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

#[test]
fn unknown_arguments_are_a_usage_error() {
    for arguments in [
        &["--web"][..],
        &["--webhook", "8080"],
        &["serve"],
        &["--help", "--webhook"],
    ] {
        let (code, _, stderr) = run(arguments, &[]);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(stderr.contains("--help"), "{stderr}");
    }
}

#[test]
fn it_prints_its_version_and_its_help() {
    let (code, stdout, _) = run(&["--version"], &[]);
    assert_eq!(
        (code, stdout.as_str()),
        (
            Some(0),
            concat!("keyrelay-host ", env!("CARGO_PKG_VERSION"), "\n")
        )
    );
    let (code, stdout, _) = run(&["--help"], &[]);
    assert!(code == Some(0) && stdout.contains("--webhook"), "{stdout}");
}

#[test]
fn it_does_not_start_without_a_tenant_and_an_audience() {
    let check = |table: &str, expected: &[&str]| {
        let variables = if table.is_empty() {
            vec![]
        } else {
            vec![("KEYRELAY_WEBHOOK", table)]
        };
        let (code, stdout, _) = run(&["--webhook"], &variables);
        assert_eq!(code, Some(1), "{stdout}");
        for expected in expected {
            assert!(stdout.contains(expected), "{stdout}");
        }
    };
    check("", &["`--webhook` needs this table", "tenant", "audience"]);
    check(
        "{ }",
        &[
            "app setting KEYRELAY_WEBHOOK.tenant: missing",
            "audience: missing",
            "any app of the tenant",
        ],
    );
}

#[tokio::test]
async fn a_rotation_in_event_grids_schema_ends_verified() {
    let mut webhook = Webhook::start(app(), "").await;
    let event = webhook.rotate("sql").await;
    let response = webhook.deliver(&json!([event])).await;
    assert_eq!(response.status(), 200, "{}", webhook.log());
    assert_eq!(
        response.json::<Value>().await.unwrap(),
        json!({ "handled": 1, "known": 0, "refused": 0 })
    );
    webhook.expect_verdicts(&["verified"]).await;
    let version = webhook.cloud.newest_version("contoso-kv", "sql").unwrap();
    let rows = webhook.cloud.references("orders").unwrap();
    assert_eq!(rows[0].active_version, Some(version));
    assert_eq!(webhook.runs(), 1);
}

#[tokio::test]
async fn a_rotation_by_cloud_events_ends_verified() {
    let setup = app().site("reports", &format!("OTHER = \"{}\"", reference("other")));
    let mut webhook = Webhook::start(setup, "").await;
    let (single, batch) = (
        "application/cloudevents+json; charset=utf-8",
        "application/cloudevents-batch+json",
    );
    let one = cloud_event(&webhook.rotate("sql").await);
    assert_eq!(
        webhook.deliver_as(single, &one).await.status(),
        200,
        "{}",
        webhook.log()
    );
    webhook.expect_verdicts(&["verified"]).await;
    assert_eq!(
        webhook.deliver_as(single, &json!([one])).await.status(),
        400
    );
    assert_eq!(webhook.deliver_as("text/plain", &one).await.status(), 415);
    let other = cloud_event(&webhook.rotate("other").await);
    let response = webhook.deliver_as(batch, &json!([one, other])).await;
    // The first event was handled before.
    assert_eq!(
        response.json::<Value>().await.unwrap(),
        json!({ "handled": 1, "known": 1, "refused": 0 })
    );
    webhook.expect_verdicts(&["verified", "verified"]).await;
}

#[tokio::test]
async fn event_grid_subscribes_and_delivers_in_both_schemas() {
    for schema in [
        DeliverySchema::EventGridSchema,
        DeliverySchema::CloudEventSchemaV10,
    ] {
        let mut webhook = Webhook::start(app(), "").await;
        let event_grid = webhook.subscribe(schema).await;
        webhook.until_compared().await;
        webhook
            .cloud
            .set_secret("contoso-kv", "sql", "planted-value-next".to_owned())
            .unwrap();
        event_grid.settled().await;
        let outcomes: Vec<_> = event_grid
            .deliveries()
            .into_iter()
            .map(|delivery| delivery.outcome)
            .collect();
        assert_eq!(
            outcomes,
            [DeliveryOutcome::Status(200)],
            "{}",
            webhook.log()
        );
        webhook.expect_verdicts(&["verified"]).await;
    }
}

#[tokio::test]
async fn both_handshakes_are_accepted() {
    let webhook = Webhook::start(app(), ", a_minute = 120").await;
    let code = "512d38b6-c7b8-40c8-89fe-f46f9e9622b6";
    let event = json!([{
        "id": "v", "topic": "/subscriptions/s", "subject": "",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-01-01T00:00:00Z", "dataVersion": "2", "metadataVersion": "1",
        "data": { "validationCode": code, "validationUrl": "http://127.0.0.1:9/never" },
    }]);
    let request = || {
        webhook
            .post("application/json", &event)
            .header("aeg-event-type", "SubscriptionValidation")
    };
    assert_eq!(request().send().await.unwrap().status(), 401);
    let response = request()
        .bearer_auth(webhook.entra.token())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.json::<Value>().await.unwrap(),
        json!({ "validationResponse": code })
    );

    // Event Grid encodes the data of a CloudEvent for validation twice.
    let event = json!({
        "id": "v", "source": "/subscriptions/s", "specversion": "1.0",
        "type": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "time": "2026-01-01T00:00:00Z",
        "data": json!({ "validationCode": code, "validationUrl": "http://127.0.0.1:9/never" }).to_string(),
    });
    let response = webhook
        .post("application/cloudevents+json; charset=utf-8", &event)
        .header("aeg-event-type", "SubscriptionValidation")
        .bearer_auth(webhook.entra.token())
        .send()
        .await
        .unwrap();
    assert_eq!(
        response.json::<Value>().await.unwrap(),
        json!({ "validationResponse": code })
    );

    let response = webhook
        .options()
        .header("WebHook-Request-Origin", "eventgrid.azure.net")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["webhook-allowed-origin"],
        "eventgrid.azure.net"
    );
    assert_eq!(response.headers()["webhook-allowed-rate"], "120");
    let other = webhook
        .options()
        .header("WebHook-Request-Origin", "example.com")
        .send()
        .await
        .unwrap();
    assert_eq!(other.status(), 403);
    assert_eq!(webhook.runs(), 0);
}

#[tokio::test]
async fn transient_failures_request_another_delivery() {
    let setup = app().configured("[[rotation]]\nsecret = \"sql\"\npolicy = \"missing\"");
    let mut webhook = Webhook::start(setup, "").await;
    let event = webhook.rotate("sql").await;
    // A repetition of a failed event is no replay.
    for _ in 0..2 {
        let status = webhook.deliver(&json!([event])).await.status();
        assert_eq!(status, 500, "{}", webhook.log());
    }
    assert_eq!(webhook.runs(), 2);
}

#[tokio::test]
async fn the_timer_runs_by_itself() {
    let webhook = Webhook::start(Setup::new(), "").await;
    webhook.until_logged("reconciled: ").await;
    let line = webhook
        .lines()
        .into_iter()
        .find(|line| field(line, "message").starts_with("reconciled: "))
        .unwrap();
    assert!(!field(&line, "invocation.id").is_empty(), "{line:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn deliveries_in_progress_are_finished_before_it_stops() {
    let mut webhook = Webhook::start(app(), "").await;
    let event = webhook.rotate("sql").await;
    let slow = Fault::new(
        Service::ResourceManager,
        Effect::Delay {
            milliseconds: 1_500,
        },
    )
    .path("configreferences");
    webhook.cloud.switch_on(slow.times(1));
    let request = webhook
        .request(&json!([event]))
        .bearer_auth(webhook.entra.token());
    let delivery = tokio::spawn(request.send());
    webhook.until_under_way().await;
    webhook.signal("TERM");
    webhook.until_logged("shutting down").await;
    assert!(!delivery.is_finished(), "{}", webhook.log());
    assert_eq!(
        delivery.await.unwrap().unwrap().status(),
        200,
        "{}",
        webhook.log()
    );
    assert_eq!(webhook.ended().await.code(), Some(0), "{}", webhook.log());
    webhook.expect_verdicts(&["verified"]).await;
    assert!(webhook.get("healthz").await.is_err());
}
