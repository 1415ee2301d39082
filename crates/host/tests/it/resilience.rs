//! Whatever is sent, and whenever it is killed: the handler is alive or restarted, never hung.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Harness, Setup, client, event, field, reference, repository};

async fn app() -> Harness {
    Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .start()
        .await
}

/// Proves that the handler still does what it is for.
async fn check_alive(app: &Harness) {
    let version = app.rotate_and_settle("sql").await;
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
        let answer = request.body(fs::read(&path).unwrap()).send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{}: {}\n{}",
            path.display(),
            answer.status(),
            app.log()
        );
    }
    assert_eq!(app.verdicts().len(), events, "{}", app.log());
    check_alive(&app).await;
}

#[tokio::test]
async fn garbage_is_answered_and_recorded() {
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
        // A linear congruence: bytes without sense, the same in every run.
        let body: Vec<u8> = (0..length * 7)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                seed.to_be_bytes()[0]
            })
            .collect();
        let answer = client().post(url.clone()).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "it would be the same next time");
        let answer: Value = answer.json().await.unwrap();
        assert!(
            answer["Logs"][0]
                .as_str()
                .unwrap()
                .starts_with("not handled: "),
            "{answer}"
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
    let answer = invocation.outcome.unwrap();
    assert!(
        answer["Logs"][0].as_str().unwrap().contains("larger than"),
        "{answer}"
    );
    check_alive(&app).await;
}

#[tokio::test]
async fn two_hundred_events_at_once_are_all_handled() {
    let app = app().await;
    let version = app.azure.cloud.newest_version("contoso-kv", "sql").unwrap();
    let ids: Vec<String> = (0..200).map(|number| format!("event-{number}")).collect();
    let events: Vec<Value> = ids.iter().map(|id| event(id, "sql", &version)).collect();
    let answers = futures::future::join_all(events.iter().map(|event| app.invoke(event))).await;
    for answer in answers {
        assert!(answer.outcome.is_ok(), "{:?}", answer.outcome);
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
        assert_eq!(
            app.active_version("orders", "SQL"),
            Some(version),
            "{}",
            app.log()
        );
    }
}
