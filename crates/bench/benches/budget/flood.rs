//! Memory and response times under floods: connections with unfinished heads at the webhook, and
//! many events in one body and in many.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app;
use crate::process::Server;

const CONNECTIONS: usize = 2_000;
const EVENTS: usize = 25_000;
const EVENTS_OF_A_BODY: usize = 1_000;

/// Connections that are kept open here at once: file descriptors are limited.
const KEPT: usize = 500;

/// The part of a head that is sent. The head may have 32 KiB.
const HEAD: usize = 31 * 1024;

/// The results of this group. Memory is in bytes.
pub(crate) struct Flood {
    /// The growth of the memory with 2,000 unfinished heads.
    pub(crate) connections: u64,
    /// The time of a response to `/healthz` meanwhile, on the port of the probes.
    pub(crate) probe: Duration,
    /// The peak of the memory after one body with 25,000 tiny events.
    pub(crate) one_body: u64,
    /// The peak of the memory after 25,000 events in bodies of 1,000, all at once.
    pub(crate) many_bodies: u64,
}

pub(crate) fn measure() -> Flood {
    let (connections, probe) = unfinished_heads();
    let [one_body, many_bodies] = many_events();
    Flood {
        connections,
        probe,
        one_body,
        many_bodies,
    }
}

fn unfinished_heads() -> (u64, Duration) {
    let folder = app::folder("");
    let (server, probes) = Server::webhook(folder.path());
    // The start-up work is done during this time.
    thread::sleep(Duration::from_secs(3));
    let before = server.memory();
    let mut head = b"GET /healthz HTTP/1.1\r\nHost: keyrelay\r\nX: ".to_vec();
    head.resize(HEAD, b'x');
    let mut open = Vec::new();
    let (mut largest, mut slowest) = (before, Duration::ZERO);
    for number in 1..=CONNECTIONS {
        if let Ok(mut stream) = TcpStream::connect(server.address)
            && stream.write_all(&head).is_ok()
        {
            open.push(stream);
        }
        // The server keeps the latest ones.
        if open.len() > KEPT {
            open.remove(0);
        }
        if number % 100 == 0 {
            largest = largest.max(server.memory());
            slowest = slowest.max(time_of_a_probe(probes));
        }
    }
    (largest.saturating_sub(before), slowest)
}

fn time_of_a_probe(address: SocketAddr) -> Duration {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    began.elapsed()
}

/// The peaks of the memory: after one body, and after many.
fn many_events() -> [u64; 2] {
    let folder = app::folder("");
    let store = folder.path().join("store");
    let server = Server::keyrelay_at_rest(folder.path(), store.to_str().unwrap());
    let tiny = vec![json!({ "id": "1" }); EVENTS];
    invoke(server.address, &json!(tiny));
    let one_body = server.peak();
    thread::scope(|scope| {
        for body in 0..EVENTS / EVENTS_OF_A_BODY {
            let address = server.address;
            scope.spawn(move || {
                let first = body * EVENTS_OF_A_BODY;
                let events = (first..first + EVENTS_OF_A_BODY).map(event);
                invoke(address, &events.collect());
            });
        }
    });
    [one_body, server.peak()]
}

/// An event about a vault and a secret of its own.
fn event(number: usize) -> Value {
    let id = format!(
        "https://kv-{number}.vault.azure.net/secrets/s-{number}/ee059b2bb5bc48398a53b168c6cdcb10"
    );
    json!({
        "id": number.to_string(),
        "eventType": "Microsoft.KeyVault.SecretNewVersionCreated",
        "eventTime": "2026-11-23T10:12:19.5Z",
        "data": { "Id": id },
    })
}

fn invoke(address: SocketAddr, events: &Value) {
    let body = json!({ "Data": { "event": events }, "Metadata": {} }).to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /SecretEvent HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    assert!(response.starts_with(b"HTTP/1.1 "), "no response");
}
