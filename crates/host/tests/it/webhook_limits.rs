//! Deliveries that are too large, too slow, too frequent, too old, or repeated.

use std::time::Duration;

use keyrelay_local_azure::{Effect, Fault, Service};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixtures::event;
use crate::setup::Setup;
use crate::webhook_harness::{Webhook, app};

/// Begins a delivery with a valid token, and does not complete it.
async fn begin(webhook: &Webhook, more: &str) -> TcpStream {
    let mut stream = TcpStream::connect(webhook.address).await.unwrap();
    let head = format!(
        "POST /events HTTP/1.1\r\nHost: keyrelay\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n{more}\r\n",
        webhook.entra.token()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The status line of the response.
async fn status_line(mut stream: TcpStream) -> String {
    let mut response = Vec::new();
    tokio::time::timeout(Duration::from_secs(60), stream.read_buf(&mut response))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&response)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn an_event_is_handled_once() {
    let mut webhook = Webhook::start(app(), "").await;
    let event = webhook.rotate("sql").await;
    for (handled, known) in [(1, 0), (0, 1), (0, 1)] {
        let response = webhook.deliver(&json!([event])).await;
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.json::<Value>().await.unwrap(),
            json!({ "handled": handled, "known": known, "refused": 0 })
        );
    }
    webhook.expect_verdicts(&["verified"]).await;
    assert_eq!(webhook.runs(), 1);
}

#[tokio::test]
async fn an_event_older_than_event_grid_keeps_events_is_refused() {
    let mut webhook = Webhook::start(app(), "").await;
    let mut old = webhook.rotate("sql").await;
    let hours_ago =
        |hours: i64| (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours)).to_string();
    old["eventTime"] = json!(hours_ago(26));
    assert_eq!(webhook.deliver(&json!([old])).await.status(), 400);
    webhook.until_logged("so this is a replay").await;
    webhook.expect_verdicts(&[]).await;
    assert_eq!(webhook.runs(), 0);
    // A late event is not too old, and is handled although an old one is in the same delivery.
    let mut late = old.clone();
    late["eventTime"] = json!(hours_ago(23));
    let response = webhook.deliver(&json!([old, late])).await;
    assert_eq!(
        response.json::<Value>().await.unwrap(),
        json!({ "handled": 1, "known": 0, "refused": 1 })
    );
    webhook.expect_verdicts(&["verified"]).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let webhook = Webhook::start(Setup::new(), ", largest_body_bytes = 4096").await;
    let large = json!([{ "padding": "x".repeat(5000) }]);
    assert_eq!(webhook.deliver(&large).await.status(), 413);
    // A body without an end and without a length.
    let mut stream = begin(&webhook, "Transfer-Encoding: chunked\r\n").await;
    for _ in 0..5 {
        stream
            .write_all(format!("400\r\n{}\r\n", "x".repeat(0x400)).as_bytes())
            .await
            .unwrap();
    }
    assert_eq!(status_line(stream).await, "HTTP/1.1 413 Payload Too Large");
    // A length above the limit, and no body.
    let stream = begin(&webhook, "Content-Length: 4097\r\n").await;
    assert_eq!(status_line(stream).await, "HTTP/1.1 413 Payload Too Large");
}

#[tokio::test]
async fn a_body_that_is_too_slow_times_out() {
    let webhook = Webhook::start(Setup::new(), "").await;
    let mut stream = begin(&webhook, "Content-Length: 100\r\n").await;
    stream.write_all(b"[{").await.unwrap();
    assert_eq!(status_line(stream).await, "HTTP/1.1 408 Request Timeout");
}

#[tokio::test]
async fn a_body_that_is_no_delivery_is_refused_permanently() {
    let webhook = Webhook::start(Setup::new(), "").await;
    for body in [json!({}), json!([]), json!(7)] {
        assert_eq!(webhook.deliver(&body).await.status(), 400, "{body}");
    }
    let stream = {
        let mut stream = begin(&webhook, "Content-Length: 3\r\n").await;
        stream.write_all(b"[{]").await.unwrap();
        stream
    };
    assert_eq!(status_line(stream).await, "HTTP/1.1 400 Bad Request");
    assert_eq!(webhook.get("events").await.unwrap().status(), 405);
    assert_eq!(webhook.get("SecretEvent").await.unwrap().status(), 404);
}

#[tokio::test]
async fn too_many_concurrent_deliveries_are_rejected() {
    let mut webhook = Webhook::start(app(), ", at_once = 1").await;
    let rotated = webhook.rotate("sql").await;
    let slow = Fault::new(
        Service::ResourceManager,
        Effect::Delay {
            milliseconds: 1_500,
        },
    )
    .path("configreferences");
    webhook.cloud.switch_on(slow.times(1));
    let request = webhook
        .request(&json!([rotated]))
        .bearer_auth(webhook.entra.token());
    let first = tokio::spawn(request.send());
    webhook.until_under_way().await;
    let second = webhook.deliver(&json!([event("b", "sql", "0")])).await;
    assert_eq!(second.status(), 429);
    assert!(second.headers().contains_key("retry-after"));
    // A sender without a valid token gets 401, and does not count against the limit.
    assert_eq!(webhook.status_with("x", &json!([])).await, 401);
    assert_eq!(
        first.await.unwrap().unwrap().status(),
        200,
        "{}",
        webhook.log()
    );
    assert_eq!(webhook.deliver(&json!([rotated])).await.status(), 200);
}

#[tokio::test]
async fn too_many_deliveries_in_a_minute_are_rejected() {
    let webhook = Webhook::start(Setup::new(), ", a_minute = 2").await;
    for _ in 0..3 {
        assert_eq!(webhook.status_with("x", &json!([])).await, 401);
    }
    // Deliveries without a valid token do not count against the limit; these do.
    for _ in 0..2 {
        assert_eq!(webhook.deliver(&json!([])).await.status(), 400);
    }
    let response = webhook.deliver(&json!([])).await;
    assert_eq!(response.status(), 429);
    let pause: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=31).contains(&pause), "{pause}");
}
