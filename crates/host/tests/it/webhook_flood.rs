//! Many connections, large heads and many events at once. Their memory and their time are figures of
//! the benchmark `flood`.

use std::fs;
use std::time::Duration;

use futures::future::join_all;
use keyrelay_model::{MAX_EVENTS, MAX_VALUES};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixtures::event;
use crate::harness::{PATIENCE, client, field};
use crate::setup::Setup;
use crate::webhook_harness::{Webhook, app};

const ATTACKERS: usize = 2_000;
const WAVE: usize = 200;
const HEAD: usize = 32 * 1024;

/// Begins a request and sends no more than this part of its head. None: the connection was refused.
async fn begin(webhook: &Webhook, size: usize) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(webhook.address).await.ok()?;
    let mut head = b"GET /healthz HTTP/1.1\r\nHost: keyrelay\r\nX: ".to_vec();
    head.resize(size, b'x');
    stream.write_all(&head).await.ok()?;
    Some(stream)
}

/// The response, until the connection is closed.
async fn response(mut stream: TcpStream) -> String {
    let mut response = Vec::new();
    // It may be closed with an error, because a part of the head was not read.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut response)).await;
    String::from_utf8_lossy(&response).into_owned()
}

/// Whether the connection is still open.
fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0];
    matches!(stream.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Sets the binding of the function to batches of events.
fn in_batches(setup: Setup) -> Setup {
    let file = setup.policies().with_file_name("SecretEvent/function.json");
    let mut function: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let binding = function.pointer_mut("/bindings/0").unwrap();
    let binding = binding.as_object_mut().unwrap();
    binding.insert("cardinality".to_owned(), json!("many"));
    fs::write(file, function.to_string()).unwrap();
    setup
}

/// The number of records in the store, which are files.
fn records(app: &crate::harness::Harness) -> usize {
    crate::harness::files_below(&app.store().join("runs")).len()
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let webhook = Webhook::start(Setup::new(), "").await;
    let stream = begin(&webhook, HEAD).await.unwrap();
    let response = response(stream).await;
    assert!(response.starts_with("HTTP/1.1 431 "), "{response:?}");
    let get = client().get(format!("http://{}/healthz", webhook.address));
    let large = get.header("x", "x".repeat(HEAD / 2)).send().await;
    assert_eq!(large.unwrap().status(), 200);
}

#[tokio::test]
async fn two_thousand_unfinished_heads_do_not_keep_others_out() {
    let mut webhook = Webhook::start(app(), "").await;
    let mut attackers = Vec::new();
    for _ in 0..ATTACKERS / WAVE {
        let wave = (0..WAVE).map(|_| begin(&webhook, HEAD - 1024));
        attackers.extend(join_all(wave).await.into_iter().flatten());
        // The file descriptors of the test are limited.
        attackers.retain(is_open);
    }
    for address in [webhook.probes, webhook.address] {
        let probe = client().get(format!("http://{address}/healthz")).send();
        assert_eq!(
            timeout(PATIENCE, probe).await.unwrap().unwrap().status(),
            200
        );
    }
    // Those of one peer: 100 deliveries, and 64 more.
    let all_but = |most: usize| {
        let attackers = &attackers;
        async move {
            while attackers.iter().filter(|it| is_open(it)).count() > most {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    assert!(timeout(PATIENCE, all_but(164)).await.is_ok());
    // Deliveries get through.
    let rotated = webhook.rotate("sql").await;
    assert_eq!(webhook.deliver(&json!([rotated])).await.status(), 200);
    webhook.expect_verdicts(&["verified"]).await;
    // No head gets complete: all of them are closed, without an end of the attack.
    assert!(timeout(PATIENCE, all_but(0)).await.is_ok());
}

#[tokio::test]
async fn the_port_of_the_probes_has_no_other_route() {
    let webhook = Webhook::start(Setup::new(), "").await;
    let url = |path: &str| format!("http://{}/{path}", webhook.probes);
    for (path, status) in [
        ("", 200),
        ("healthz", 200),
        ("readyz", 200),
        ("events", 404),
    ] {
        let response = client().get(url(path)).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
    }
    let delivery = client().post(url("events")).body("[]").send().await;
    assert_eq!(delivery.unwrap().status(), 404);
}

#[tokio::test]
async fn a_delivery_has_a_thousand_events_at_most() {
    let webhook = Webhook::start(Setup::new(), "").await;
    let tiny = |count: usize| json!(vec![json!({ "id": "1" }); count]);
    for count in [MAX_EVENTS + 1, 25_000, MAX_VALUES] {
        assert_eq!(webhook.deliver(&tiny(count)).await.status(), 413, "{count}");
    }
    webhook.until_logged("more than 1000 events").await;
    // One event may not have more values than a delivery.
    let nested = json!([{ "id": "1", "data": vec![0; MAX_VALUES] }]);
    assert_eq!(webhook.deliver(&nested).await.status(), 413);
    assert_eq!(webhook.runs(), 0);
    assert_eq!(webhook.deliver(&tiny(MAX_EVENTS)).await.status(), 200);
}

#[tokio::test]
async fn an_invocation_with_too_many_events_is_refused_on_record() {
    let app = in_batches(Setup::new()).start().await;
    let tiny = json!(vec![json!({ "id": "1" }); 25_000]);
    let nested = json!([{ "id": "1", "data": vec![0; MAX_VALUES] }]);
    for (body, recorded) in [(tiny, 1), (nested, 2)] {
        let response = app.invoke(&body).await.outcome.unwrap();
        let logged = response["Logs"][0].as_str().unwrap();
        assert!(logged.contains("more than 1000 events"), "{logged}");
        assert_eq!(records(&app), recorded);
    }
}

#[tokio::test]
async fn events_of_other_vaults_in_one_delivery_have_one_record() {
    let configuration = "vaults = [\"another-kv\"]";
    let app = in_batches(Setup::new().configured(configuration));
    let app = app.start().await;
    let ids = (0..MAX_EVENTS).map(|number| number.to_string());
    let events: Vec<Value> = ids.map(|id| event(&id, "sql", "1")).collect();
    app.invoke(&json!(events)).await.outcome.unwrap();
    assert_eq!(records(&app), 1);
    let line = app.verdicts().pop().unwrap();
    assert_eq!(field(&line, "verdict"), "refused");
    let file = &crate::harness::files_below(&app.store().join("runs"))[0];
    let record = fs::read_to_string(file).unwrap();
    assert!(record.contains("999 more events"), "{record}");
}
