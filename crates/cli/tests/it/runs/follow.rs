use std::fs;

use keyrelay_model::Verdict;

use crate::harness::{WorkingFolder, run};

#[tokio::test]
async fn prints_new_runs_that_are_wanted() {
    let folder = WorkingFolder::new();
    folder
        .keep([&run("2026-11-02T10:00:00Z", "contoso-kv/sql", &[])])
        .await;
    let mut following = folder.start(&["follow", "--secret", "sql", "--json"]);
    assert!(
        following
            .note()
            .await
            .starts_with("following the runs in the store")
    );

    // The second began earlier and took longer; the third is about something else; the fourth is on
    // another day.
    let first = run(
        "2026-11-02T12:00:00Z",
        "contoso-kv/sql",
        &[("orders", Verdict::Verified, "fine")],
    );
    let second = run("2026-11-02T11:00:00Z", "contoso-kv/sql", &[]);
    let other = run("2026-11-02T13:00:00Z", "contoso-kv/mail", &[]);
    let next_day = run("2026-11-03T00:00:00Z", "contoso-kv/sql", &[]);
    for new in [&first, &second, &next_day] {
        folder.keep([&other, new]).await;
        let line: serde_json::Value = serde_json::from_str(&following.line().await).unwrap();
        assert_eq!(line, serde_json::to_value(new).unwrap());
    }
}

#[tokio::test]
async fn goes_on_when_a_store_that_was_out_of_reach_is_back() {
    let folder = WorkingFolder::new();
    let mut following = folder.start(&["follow", "--json"]);
    following.note().await;
    let (store, away) = (
        folder.path().join(".keyrelay/store"),
        folder.path().join("away"),
    );
    fs::rename(&store, &away).unwrap();
    fs::write(&store, "").unwrap();
    let warning = following.note().await;
    assert!(
        warning.starts_with("warning: ") && warning.ends_with("; trying again"),
        "{warning}"
    );
    fs::remove_file(&store).unwrap();
    fs::rename(&away, &store).unwrap();
    let new = run("2026-11-02T10:00:00Z", "contoso-kv/sql", &[]);
    folder.keep([&new]).await;
    assert!(following.line().await.contains(new.id.as_str()));
}

#[tokio::test]
async fn ends_when_nobody_reads_any_more() {
    let folder = WorkingFolder::new();
    let mut following = folder.start(&["follow"]);
    following.note().await;
    folder
        .keep([&run("2026-11-02T10:00:00Z", "contoso-kv/sql", &[])])
        .await;
    following.line().await;
    following.line().await;

    let gone = tokio::spawn(following.stop_reading());
    let started = ["2026-11-02T11:00:00Z", "2026-11-02T12:00:00Z"];
    folder
        .keep(&started.map(|started| run(started, "contoso-kv/sql", &[])))
        .await;
    assert_eq!(gone.await.unwrap(), Some(0));
}
