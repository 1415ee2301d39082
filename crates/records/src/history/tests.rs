//! Tests of the run history.

use super::*;
use crate::record::Cause;

fn history() -> (tempfile::TempDir, History) {
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(Store::folder(folder.path()).unwrap());
    (folder, history)
}

fn run(started: &str) -> Run {
    Run {
        id: RunId::at(started.parse().unwrap()),
        ..Run::begin(Cause::Event, "i", None, Timestamp::now())
    }
}

#[tokio::test]
async fn runs_are_found_by_day_newest_first() {
    let (_folder, history) = history();
    let runs = [
        "2026-11-22T23:00:00Z",
        "2026-11-23T01:00:00Z",
        "2026-11-23T02:00:00Z",
    ]
    .map(run);
    for run in &runs {
        history.keep(run).await.unwrap();
        history.keep(run).await.unwrap();
    }
    assert_eq!(history.days().await.unwrap(), ["2026-11-23", "2026-11-22"]);
    assert_eq!(
        history.of_day("2026-11-23").await.unwrap(),
        [runs[2].id.clone(), runs[1].id.clone()]
    );
    assert_eq!(history.read(&runs[0].id).await.unwrap().id, runs[0].id);
}

#[tokio::test]
async fn old_days_are_removed() {
    let (_folder, history) = history();
    for started in [
        "2026-08-01T00:00:00Z",
        "2026-08-25T00:00:00Z",
        "2026-11-23T00:00:00Z",
    ] {
        history.keep(&run(started)).await.unwrap();
    }
    let now = "2026-11-23T12:00:00Z".parse().unwrap();
    let keep = Duration::from_hours(90 * 24);
    assert_eq!(history.prune(keep, now, Instant::now()).await.unwrap(), 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    assert_eq!(history.prune(keep, now, deadline).await.unwrap(), 1);
    assert_eq!(history.days().await.unwrap(), ["2026-11-23", "2026-08-25"]);
}

#[tokio::test]
async fn a_record_of_a_newer_keyrelay_is_refused() {
    let (_folder, history) = history();
    let newer = Run {
        format: FORMAT + 1,
        ..run("2026-11-23T00:00:00Z")
    };
    history.keep(&newer).await.unwrap();
    assert!(matches!(
        history.read(&newer.id).await,
        Err(HistoryError::Newer { .. })
    ));
}

#[tokio::test]
async fn a_run_that_is_not_there_is_missing_and_not_amended() {
    let (_folder, history) = history();
    let id = run("2026-11-23T00:00:00Z").id;
    assert!(matches!(
        history.read(&id).await,
        Err(HistoryError::Missing(_))
    ));
    history
        .amend(&id, |_| panic!("there is nothing to amend"))
        .await
        .unwrap();
}
