use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Json, Router};
use keyrelay_model::{Retryability, Verdict};
use keyrelay_records::history::History;
use keyrelay_records::pending::PostponedEvent;
use keyrelay_records::record::{Cause, Run};
use serde_json::{Value, json};

use crate::harness::{WorkingFolder, run, serve};

const KEY: &str = "planted-value-master-key";

/// A Functions host whose timer puts a run into the history.
#[derive(Clone)]
struct FunctionsHost {
    history: History,
    new: Run,
    requests: Arc<Mutex<Vec<(String, Value)>>>,
}

impl FunctionsHost {
    async fn start(folder: &WorkingFolder, new: &Run) -> (Self, String) {
        let host = Self {
            history: folder.history.clone(),
            new: new.clone(),
            requests: Arc::default(),
        };
        let url = serve(
            Router::new()
                .fallback(Self::answer)
                .with_state(host.clone()),
        )
        .await;
        (host, url)
    }

    async fn answer(
        State(host): State<Self>,
        uri: Uri,
        headers: HeaderMap,
        Json(body): Json<Value>,
    ) -> StatusCode {
        host.requests
            .lock()
            .unwrap()
            .push((uri.path().to_owned(), body));
        if headers.get("x-functions-key").is_none_or(|key| key != KEY) {
            return StatusCode::UNAUTHORIZED;
        }
        host.history.keep(&host.new).await.unwrap();
        StatusCode::ACCEPTED
    }
}

/// A run, and the one that comes of it when it is resubmitted.
async fn two_runs(verdict: Verdict) -> (WorkingFolder, Run, Run) {
    let folder = WorkingFolder::new();
    let first = run(
        "2026-11-01T10:00:00Z",
        "contoso-kv/sql",
        &[("orders", Verdict::Refused, "beyond its grant")],
    );
    let mut new = run(
        "2026-11-02T10:00:00Z",
        "contoso-kv/sql",
        &[("orders", verdict, "the new outcome")],
    );
    new.cause = Cause::Resubmit;
    new.of = Some(first.id.clone());
    folder.keep([&first]).await;
    (folder, first, new)
}

#[tokio::test]
async fn puts_the_event_where_the_timer_looks() {
    let (folder, run, _) = two_runs(Verdict::Verified).await;
    let done = folder.run(&["resubmit", run.id.as_str()]).await;
    assert_eq!(done.code, Some(0), "{}", done.errors);
    assert!(
        done.errors
            .contains("handled when the reconcile timer runs next"),
        "{}",
        done.errors
    );
    let files = folder.files("pending/events");
    let [file] = files.as_slice() else {
        panic!("{files:?}")
    };
    let kept: PostponedEvent = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(
        (kept.run, kept.cause, Some(kept.event)),
        (Some(run.id), Cause::Resubmit, run.event)
    );
}

#[tokio::test]
async fn has_the_timer_run_at_once_and_shows_the_new_run() {
    let (folder, first, new) = two_runs(Verdict::Verified).await;
    let (host, url) = FunctionsHost::start(&folder, &new).await;
    let done = folder
        .run(&[
            "resubmit",
            first.id.as_str(),
            "--functions-host",
            &url,
            "--key",
            KEY,
            "--wait",
        ])
        .await;
    assert_eq!(done.code, Some(0), "{}", done.errors);
    assert!(
        done.output.contains(new.id.as_str()) && done.output.contains("the new outcome"),
        "{}",
        done.output
    );
    assert!(!(done.output + &done.errors).contains(KEY));
    let expected = [(
        "/admin/functions/Reconcile".to_owned(),
        json!({ "input": "" }),
    )];
    assert_eq!(*host.requests.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_new_run_that_failed_is_a_failure() {
    let (folder, first, new) = two_runs(Verdict::Failed(Retryability::Permanent)).await;
    // An earlier resubmission of the same run is not the one that is waited for.
    let mut earlier = run("2026-11-01T12:00:00Z", "contoso-kv/sql", &[]);
    earlier.cause = Cause::Resubmit;
    earlier.of = Some(first.id.clone());
    folder.keep([&earlier]).await;
    let (_host, url) = FunctionsHost::start(&folder, &new).await;
    let mut command = folder.command(&[
        "resubmit",
        first.id.as_str(),
        "--functions-host",
        &url,
        "--wait",
        "--json",
    ]);
    command.env("FUNCTIONS_MASTER_KEY", KEY);
    let done = crate::harness::done(command).await;
    assert_eq!(done.code, Some(1));
    assert!(
        done.errors.contains(&format!("run {} is failed", new.id)),
        "{}",
        done.errors
    );
    assert_eq!(
        serde_json::from_str::<Value>(&done.output).unwrap(),
        serde_json::to_value(&new).unwrap()
    );
}

#[tokio::test]
async fn a_refused_key_is_said_and_the_event_waits_all_the_same() {
    let (folder, first, new) = two_runs(Verdict::Verified).await;
    let (_host, url) = FunctionsHost::start(&folder, &new).await;
    let done = folder
        .run(&[
            "resubmit",
            first.id.as_str(),
            "--functions-host",
            &url,
            "--key",
            "other",
        ])
        .await;
    assert_eq!(done.code, Some(1));
    assert!(
        done.errors.contains("refuses the key") && done.errors.contains("the event waits"),
        "{}",
        done.errors
    );
    assert_eq!(folder.files("pending/events").len(), 1);
}

#[tokio::test]
async fn the_key_does_not_follow_a_redirection() {
    let (folder, first, new) = two_runs(Verdict::Verified).await;
    let (elsewhere, target) = FunctionsHost::start(&folder, &new).await;
    let moved = Router::new()
        .fallback(async move |_: Bytes| (StatusCode::TEMPORARY_REDIRECT, [("location", target)]));
    let url = serve(moved).await;
    let done = folder
        .run(&[
            "resubmit",
            first.id.as_str(),
            "--functions-host",
            &url,
            "--key",
            KEY,
        ])
        .await;
    assert_eq!(done.code, Some(1));
    assert!(elsewhere.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_be_handled_again_is_refused() {
    let folder = WorkingFolder::new();
    let no_event = Run {
        event: None,
        ..run("2026-11-01T10:00:00Z", "contoso-kv/sql", &[])
    };
    folder.keep([&no_event]).await;
    for id in [no_event.id.as_str(), "20261101T100000000Z-01234567"] {
        let done = folder.run(&["resubmit", id]).await;
        assert_eq!(done.code, Some(1));
        assert!(done.errors.contains(id), "{}", done.errors);
    }
    assert!(folder.files("pending/events").is_empty());
}

#[tokio::test]
async fn the_functions_host_is_not_asked_without_a_key_or_in_plain_text() {
    let (folder, first, _) = two_runs(Verdict::Verified).await;
    let id = first.id.as_str();
    for arguments in [
        &[
            "resubmit",
            id,
            "--functions-host",
            "https://keyrelay.example",
        ][..],
        &[
            "resubmit",
            id,
            "--functions-host",
            "http://keyrelay.example",
            "--key",
            KEY,
        ],
        &["resubmit", id, "--json"],
    ] {
        assert_eq!(folder.run(arguments).await.code, Some(2), "{arguments:?}");
    }
    assert!(folder.files("pending/events").is_empty());
}

#[tokio::test]
async fn everything_that_failed_and_was_not_repaired_is_resubmitted_once() {
    let folder = WorkingFolder::new();
    let of = |began: &str, secret: &str, verdict: Verdict| {
        run(began, secret, &[("orders", verdict, "an outcome")])
    };
    let failed = Verdict::Failed(Retryability::Permanent);
    let runs = [
        of("2026-11-01T09:00:00Z", "contoso-kv/too-old", failed),
        of("2026-11-01T10:00:00Z", "contoso-kv/sql", failed),
        of("2026-11-01T11:00:00Z", "contoso-kv/sql", failed),
        of("2026-11-01T10:00:00Z", "contoso-kv/repaired", failed),
        of(
            "2026-11-01T11:00:00Z",
            "contoso-kv/repaired",
            Verdict::Verified,
        ),
        of(
            "2026-11-01T11:00:00Z",
            "contoso-kv/refused",
            Verdict::Refused,
        ),
    ];
    folder.keep(&runs).await;
    let since = ["--since", "2026-11-01T09:30:00"];
    let all = [&["resubmit", "--verdict", "failed"][..], &since].concat();
    let done = folder.run(&all).await;
    assert_eq!(done.code, Some(0), "{}", done.errors);
    assert_eq!(done.output, format!("{} sql: waits\n", runs[2].id));
    assert!(done.errors.contains("1 events wait"), "{}", done.errors);
    let done = folder.run(&all).await;
    assert_eq!(done.output, format!("{} sql: waits already\n", runs[2].id));
    let refused = [
        &["resubmit", "--verdict", "refused,rolled-back"][..],
        &since,
    ]
    .concat();
    let done = folder.run(&refused).await;
    assert_eq!(done.output, format!("{} refused: waits\n", runs[5].id));
    assert_eq!(folder.files("pending/events").len(), 2);
    for wrong in [
        &["resubmit"][..],
        &["resubmit", "--verdict", "failed"],
        &["resubmit", "--since", "1d", runs[2].id.as_str()],
        &["resubmit", "--verdict", "verified", "--since", "1d"],
        &[&all[..], &[runs[2].id.as_str()]].concat(),
        &[&all[..], &["--wait"]].concat(),
    ] {
        assert_eq!(folder.run(wrong).await.code, Some(2), "{wrong:?}");
    }
}
