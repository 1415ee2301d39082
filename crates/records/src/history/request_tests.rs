//! The number of requests that a list of 100,000 runs costs, counted in a stand-in for a blob
//! container with pages of 5,000 keys, as Azure has.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use jiff::Timestamp;
use keyrelay_model::Verdict;
use keyrelay_store::{Store, TokenProvider};

use super::compact::Sizes;
use super::segment::Segment;
use super::{Entry, History, key};
use crate::outcome::Outcome;
use crate::record::{Cause, RotationRecord, Run};
use crate::run_id::{self, RunId};
use crate::summary::Summary;

const RUNS: u32 = 100_000;
const DAYS: u32 = 90;

/// The number of runs without a summary yet.
const NEW: u32 = 3;

/// The most keys in one response to a list.
const PAGE: usize = 5_000;

#[derive(Default)]
struct Container {
    objects: BTreeMap<String, Vec<u8>>,
    requests: AtomicUsize,
}

#[derive(Debug)]
struct NoToken;

#[async_trait]
impl TokenProvider for NoToken {
    async fn token(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        Ok("planted-value-token".to_owned())
    }

    async fn refused(&self) {}
}

impl Container {
    /// A container with [`RUNS`] runs on [`DAYS`] days, all but the [`NEW`] ones with a summary.
    fn with_runs() -> Self {
        let mut container = Self::default();
        let begin: Timestamp = "2026-08-01T00:00:00Z".parse().unwrap();
        let step = Duration::from_hours(24) * DAYS / RUNS;
        let mut segment = Segment::new("0".to_owned());
        for number in 0..RUNS {
            let run = run(begin + step * number, number);
            if number >= RUNS - NEW {
                container.put(key(&run.id), serde_json::to_vec(&run).unwrap());
                continue;
            }
            // Nothing reads it.
            container.put(key(&run.id), Vec::new());
            if number % 1_000 == 0 && segment.size() >= Sizes::default().segment {
                segment.to = run_id::from(run.started);
                let full = std::mem::replace(&mut segment, Segment::new(run_id::from(run.started)));
                container.put_segment(&full);
            }
            segment.summaries.push(Summary::of(&run));
            segment.to = run_id::from(run.started + Duration::from_millis(1));
        }
        container.put_segment(&segment);
        container
    }

    fn put(&mut self, key: String, bytes: Vec<u8>) {
        self.objects.insert(key, bytes);
    }

    fn put_segment(&mut self, segment: &Segment) {
        let key = format!("run-summaries/segments/{}.json", segment.from);
        let bytes = serde_json::to_vec(&segment.to_stored()).unwrap();
        assert!(bytes.len() < 4_000_000, "{} bytes", bytes.len());
        self.put(key, bytes);
    }

    /// A page of a list, as XML.
    fn list(&self, query: &HashMap<String, String>) -> String {
        let of = |name: &str| query.get(name).map_or("", String::as_str);
        let (prefix, delimiter, marker) = (of("prefix"), of("delimiter"), of("marker"));
        let from_prefix = self.objects.range(prefix.to_owned()..);
        let keys = from_prefix
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix));
        let names: BTreeSet<String> = keys
            .map(|key| match key[prefix.len()..].split_once('/') {
                Some((folder, _)) if !delimiter.is_empty() => format!("{prefix}{folder}/"),
                _ => key.clone(),
            })
            .collect();
        let mut left = names.into_iter().filter(|name| name.as_str() > marker);
        let page: Vec<String> = left.by_ref().take(PAGE).collect();
        let next = left.next().and(page.last()).cloned().unwrap_or_default();
        let entry = |name: &String| match name.ends_with('/') {
            true => format!("<BlobPrefix><Name>{name}</Name></BlobPrefix>"),
            false => format!(
                "<Blob><Name>{name}</Name><Properties><Last-Modified>Sun, 01 Nov 2026 10:00:00 GMT</Last-Modified>\
                 <Content-Length>1</Content-Length><Content-Type>application/json</Content-Type><Etag>1</Etag></Properties></Blob>"
            ),
        };
        let entries: String = page.iter().map(entry).collect();
        format!(
            "<EnumerationResults><Blobs>{entries}</Blobs><NextMarker>{next}</NextMarker></EnumerationResults>"
        )
    }
}

fn run(started: Timestamp, number: u32) -> Run {
    let app = format!(
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/app-{}",
        number % 1_000
    );
    let outcome = Outcome::new(Verdict::Refused, format!("denied {}", number % 5_000));
    Run {
        id: RunId::at(started),
        rotations: vec![RotationRecord::ended(
            app.parse().unwrap(),
            outcome,
            Duration::ZERO,
        )],
        ..Run::begin(Cause::Event, "i", None, started)
    }
}

async fn respond(
    State(container): State<Arc<Container>>,
    Query(query): Query<HashMap<String, String>>,
    uri: Uri,
) -> Response {
    container.requests.fetch_add(1, Ordering::Relaxed);
    if query.contains_key("comp") {
        return (
            [(header::CONTENT_TYPE, "application/xml")],
            container.list(&query),
        )
            .into_response();
    }
    let key = uri.path().trim_start_matches("/account/keyrelay/");
    let headers = [
        ("last-modified", "Sun, 01 Nov 2026 10:00:00 GMT"),
        ("etag", "\"1\""),
    ];
    match container.objects.get(key) {
        Some(bytes) => (headers, bytes.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Lists the runs up to a limit, reads those without a summary, and returns the number of
/// all and of requests.
async fn list(history: &History, container: &Container, limit: usize) -> (usize, usize) {
    container.requests.store(0, Ordering::Relaxed);
    let mut parts = pin!(history.entries(""));
    let mut listed = 0;
    while listed < limit
        && let Some(part) = parts.try_next().await.unwrap()
    {
        for entry in part.into_iter().take(limit - listed) {
            match entry {
                Entry::Summary(_) => {}
                Entry::WithoutSummary(id) => drop(history.read(&id).await.unwrap()),
                Entry::Ignored(error) => panic!("{error}"),
            }
            listed += 1;
        }
    }
    (listed, container.requests.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_list_of_a_hundred_thousand_runs_takes_at_most_ten_requests() {
    let container = Arc::new(Container::with_runs());
    let router = axum::Router::new()
        .fallback(respond)
        .with_state(Arc::clone(&container));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let url = format!("http://{}/account/keyrelay", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let store = Store::container(&url.parse().unwrap(), Arc::new(NoToken), &client).unwrap();
    let history = History::new(store);

    // The days, the keys of the summaries, the last day, the runs without a summary, and the newest segment.
    let (listed, requests) = list(&history, &container, 20).await;
    assert_eq!((listed, requests), (20, 3 + 3 + 1));
    // All segments.
    let (listed, requests) = list(&history, &container, usize::MAX).await;
    assert_eq!((listed, requests), (100_000, 3 + 3 + 4));
}
