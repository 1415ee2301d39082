//! Resilience: after any input and any kill, the handler runs or is restarted, and never hangs.

use std::fs;

use serde_json::{Value, json};

use crate::fixtures::{event, reference};
use crate::harness::{Harness, client, field};
use crate::setup::{Setup, repository};

async fn app() -> Harness {
    Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .start()
        .await
}

/// Checks that the handler still handles a rotation.
async fn check_alive(app: &Harness) {
    let version = app.rotate_and_finish("sql").await;
    assert_eq!(
        app.active_version("orders", "SQL"),
        Some(version),
        "{}",
        app.log()
    );
    assert_eq!(app.azure.functions_host.restarts(), 0, "{}", app.log());
}

#[tokio::test]
async fn every_shape_of_event_gets_its_verdict() {
    let app = app().await;
    let mut events = 0;
    for entry in fs::read_dir(repository().join("crates/model/fixtures")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        events += 1;
        let endpoint = app.azure.functions_host.event_grid_endpoint("SecretEvent");
        let request = client()
            .post(endpoint)
            .header("aeg-event-type", "Notification")
            .header("content-type", "application/json");
        let response = request.body(fs::read(&path).unwrap()).send().await.unwrap();
        assert!(
            response.status().is_success(),
            "{}: {}\n{}",
            path.display(),
            response.status(),
            app.log()
        );
    }
    assert_eq!(app.verdicts().len(), events, "{}", app.log());
    check_alive(&app).await;
}

#[tokio::test]
async fn garbage_gets_a_response_and_a_record() {
    let app = app().await;
    let url = app
        .azure
        .functions_host
        .handler_url()
        .unwrap()
        .join("SecretEvent")
        .unwrap();
    let mut seed = 1_u32;
    for length in 0..100_usize {
        // A linear congruential generator, so that every run has the same bytes.
        let body: Vec<u8> = (0..length * 7)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                seed.to_be_bytes()[0]
            })
            .collect();
        let response = client().post(url.clone()).body(body).send().await.unwrap();
        assert_eq!(response.status(), 200, "a repetition would not help");
        let response: Value = response.json().await.unwrap();
        assert!(
            response["Logs"][0]
                .as_str()
                .unwrap()
                .starts_with("not handled: "),
            "{response}"
        );
    }
    assert_eq!(app.verdicts().len(), 100);
    check_alive(&app).await;
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_and_not_delivered_again() {
    let app = app().await;
    let mut huge = event("huge", "sql", "1");
    huge["filler"] = json!("x".repeat(10 * 1024 * 1024));
    let invocation = app.invoke(&huge).await;
    let response = invocation.outcome.unwrap();
    assert!(
        response["Logs"][0]
            .as_str()
            .unwrap()
            .contains("larger than"),
        "{response}"
    );
    check_alive(&app).await;
}

#[tokio::test]
async fn two_hundred_events_at_once_are_all_handled() {
    let app = app().await;
    let version = app.azure.cloud.newest_version("contoso-kv", "sql").unwrap();
    let ids: Vec<String> = (0..200).map(|number| format!("event-{number}")).collect();
    let events: Vec<Value> = ids.iter().map(|id| event(id, "sql", &version)).collect();
    let responses = futures::future::join_all(events.iter().map(|event| app.invoke(event))).await;
    for response in responses {
        assert!(response.outcome.is_ok(), "{:?}", response.outcome);
    }
    let verdicts = app.verdicts();
    for id in ids {
        assert_eq!(
            verdicts
                .iter()
                .filter(|line| field(line, "event.id") == id)
                .count(),
            1,
            "{id}"
        );
    }
    check_alive(&app).await;
}

#[tokio::test]
async fn a_killed_handler_is_restarted_and_no_event_is_lost() {
    let app = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .with(|options| options.functions_host.max_crashes = 100)
        .start()
        .await;
    for round in 1..=5_u64 {
        let version = app.rotate("sql");
        app.azure.functions_host.kill_handler();
        app.until("the restart", |app| {
            app.azure.functions_host.restarts() >= round
        })
        .await;
        app.settled().await;
        app.reconcile().await;
        assert_eq!(
            app.active_version("orders", "SQL"),
            Some(version),
            "{}",
            app.log()
        );
    }
}
