use std::fs;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keyrelay_model::{Retryability, Verdict};
use keyrelay_records::record::{Cause, FORMAT, Run};

use crate::harness::{WorkingFolder, app, run};

const BROKEN: Verdict = Verdict::Failed(Retryability::Permanent);

/// Five runs on three days.
async fn five_runs() -> (WorkingFolder, [Run; 5]) {
    let folder = WorkingFolder::new();
    let mut runs = [
        run(
            "2026-11-01T10:00:00Z",
            "contoso-kv/sql-a",
            &[("orders", Verdict::Verified, "fine")],
        ),
        run(
            "2026-11-02T10:00:00Z",
            "contoso-kv/sql-b",
            &[("orders/staging", BROKEN, "it broke\nin two lines")],
        ),
        run(
            "2026-11-02T11:00:00Z",
            "fabrikam-kv/sql-a",
            &[("web", Verdict::RolledBack, "rolled back")],
        ),
        run("2026-11-03T10:00:00Z", "contoso-kv/mail", &[]),
        run(
            "2026-11-03T11:00:00Z",
            "contoso-kv/mail",
            &[
                ("orders", Verdict::Verified, "fine"),
                ("web", BROKEN, "denied"),
                ("mailer", Verdict::Unchanged, "same"),
            ],
        ),
    ];
    runs[3].cause = Cause::Drift;
    folder.keep(&runs).await;
    (folder, runs)
}

/// Checks which of the five runs are listed, newest first.
async fn check(arguments: &[&str], expected: &[usize]) {
    let (folder, runs) = five_runs().await;
    let expected: Vec<_> = expected
        .iter()
        .map(|&index| runs[index].id.clone())
        .collect();
    assert_eq!(folder.list(arguments).await, expected, "{arguments:?}");
}

#[tokio::test]
async fn lists_newest_first() {
    check(&[], &[4, 3, 2, 1, 0]).await;
    check(&["list"], &[4, 3, 2, 1, 0]).await;
}

#[tokio::test]
async fn stops_at_the_limit() {
    check(&["--limit", "3"], &[4, 3, 2]).await;
    check(&["list", "--limit", "1", "--secret", "sql-*"], &[2]).await;
}

#[tokio::test]
async fn reads_no_further_than_it_has_to() {
    let (folder, runs) = five_runs().await;
    for run in &runs[..3] {
        let file = folder.path().join(format!(
            ".keyrelay/store/runs/{}/{}.json",
            run.id.day(),
            run.id
        ));
        fs::write(file, "what would be complained about").unwrap();
    }
    for arguments in [["--limit", "2"], ["--since", "2026-11-03"]] {
        let done = folder.run(&arguments).await;
        assert_eq!(done.code, Some(0));
        assert!(!done.errors.contains("warning"), "{}", done.errors);
    }
}

#[tokio::test]
async fn lists_since_a_day_a_time_or_an_age() {
    check(&["--since", "2026-11-02"], &[4, 3, 2, 1]).await;
    check(&["--since", "2026-11-02T10:30:00Z"], &[4, 3, 2]).await;

    let folder = WorkingFolder::new();
    let ago = |hours| (Timestamp::now() - SignedDuration::from_hours(hours)).to_string();
    let recent = run(&ago(1), "contoso-kv/sql", &[]);
    folder
        .keep([&recent, &run(&ago(3), "contoso-kv/sql", &[])])
        .await;
    assert_eq!(folder.list(&["--since", "2h"]).await, [recent.id]);
}

#[tokio::test]
async fn filters_by_verdict() {
    check(&["--verdict", "failed"], &[4, 1]).await;
    check(&["--verdict", "failed,rolled-back"], &[4, 2, 1]).await;
    // One of several rotations, and a run without one.
    check(&["--verdict", "unchanged"], &[4, 3]).await;
}

#[tokio::test]
async fn filters_by_secret_and_vault() {
    check(&["--secret", "SQL-A"], &[2, 0]).await;
    check(&["--secret", "sql-*"], &[2, 1, 0]).await;
    check(&["--secret", "sql-b", "--secret", "mail"], &[4, 3, 1]).await;
    check(&["--secret", "sql-*", "--vault", "Contoso-KV"], &[1, 0]).await;
    check(&["--vault", "fabrikam-kv.vault.azure.net"], &[2]).await;
}

#[tokio::test]
async fn filters_by_app() {
    check(&["--app", "orders"], &[4, 1, 0]).await;
    check(&["--app", "orders/staging"], &[1]).await;
    check(&["--app", &app("orders")], &[4, 0]).await;
    // The verdict is then about the app.
    check(&["--app", "orders", "--verdict", "failed"], &[1]).await;
}

#[tokio::test]
async fn filters_by_cause() {
    check(&["--cause", "drift"], &[3]).await;
    check(&["--cause", "event,drift", "--limit", "2"], &[4, 3]).await;
}

#[tokio::test]
async fn a_line_says_what_an_operator_looks_for() {
    let (folder, runs) = five_runs().await;
    let done = folder.run(&[]).await;
    let columns = |line: &str| -> Vec<String> {
        let columns = line.split("  ").map(str::trim);
        let columns = columns.filter(|it| !it.is_empty());
        columns.map(str::to_owned).collect()
    };
    assert!(
        done.output.lines().all(|line| line.chars().count() <= 80),
        "{}",
        done.output
    );
    let lines: Vec<Vec<String>> = done.output.lines().map(columns).collect();
    let id = |index: usize| runs[index].id.as_str();
    let mail = "new version contoso-kv/mail";
    assert_eq!(lines[0], [id(4), mail, "1234 ms"]);
    assert_eq!(
        lines[1],
        ["1 failed, 1 verified, 1 unchanged", "3 apps", "event"]
    );
    assert_eq!(lines[2], ["denied"]);
    assert_eq!(lines[3], [id(3), mail, "1234 ms"]);
    assert_eq!(lines[4], ["unchanged", "drift"]);
    let broken = lines.iter().position(|line| line[0] == id(1)).unwrap();
    let sql = "new version contoso-kv/sql-b";
    assert_eq!(lines[broken], [id(1), sql, "1234 ms"]);
    assert_eq!(lines[broken + 1], ["failed", "orders/staging", "event"]);
    assert_eq!(lines[broken + 2], ["it broke"]);
    assert!(done.errors.contains("5 runs: "), "{}", done.errors);
}

#[tokio::test]
async fn json_is_one_record_a_line() {
    let (folder, runs) = five_runs().await;
    let done = folder.run(&["--json", "--limit", "2"]).await;
    let records: Vec<serde_json::Value> = done
        .output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected = [&runs[4], &runs[3]].map(|run| serde_json::to_value(run).unwrap());
    assert_eq!(records, expected);
}

#[tokio::test]
async fn run_summaries_change_no_list() {
    let (folder, _) = five_runs().await;
    let lists: [&[&str]; 5] = [
        &[],
        &["--json"],
        &["--app", "orders", "--verdict", "verified"],
        &["--verdict", "unchanged", "--vault", "contoso-kv"],
        &["--since", "2026-11-02", "--secret", "sql-*"],
    ];
    let mut before = Vec::new();
    for list in lists {
        before.push(folder.run(list).await.output);
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let later = Timestamp::now() + SignedDuration::from_mins(16);
    let summarized = folder.history.compact(later, deadline).await.unwrap();
    assert_eq!(summarized, 5);
    for (list, before) in lists.into_iter().zip(&before) {
        let done = folder.run(list).await;
        assert_eq!(&done.output, before);
        assert!(!done.errors.contains("warning"), "{}", done.errors);
    }

    let [segment] = folder.files("run-summaries/segments").try_into().unwrap();
    fs::write(segment, "[]").unwrap();
    let done = folder.run(&[]).await;
    assert_eq!(done.output, before[0]);
    assert!(
        done.errors
            .starts_with("warning: `run-summaries/segments/0.json` in the store is ignored"),
        "{}",
        done.errors
    );
}

#[tokio::test]
async fn nothing_found_is_said_and_no_failure() {
    let (folder, _) = five_runs().await;
    let done = folder.run(&["--secret", "other"]).await;
    assert_eq!((done.code, done.output.as_str()), (Some(0), ""));
    assert!(
        done.errors.contains("no such runs in the store"),
        "{}",
        done.errors
    );
}

#[tokio::test]
async fn a_run_that_cannot_be_read_does_not_hide_the_others() {
    let (folder, mut runs) = five_runs().await;
    runs[0].id = run("2026-11-04T10:00:00Z", "contoso-kv/sql", &[]).id;
    runs[0].format = FORMAT + 1;
    folder.keep(&runs[..1]).await;
    let done = folder.run(&[]).await;
    assert!(done.errors.contains("5 runs: "), "{}", done.errors);
    assert_eq!(done.code, Some(0));
    assert!(
        done.errors
            .starts_with(&format!("warning: run `{}` has format", runs[0].id)),
        "{}",
        done.errors
    );
}

#[tokio::test]
async fn nothing_from_the_store_commands_the_terminal() {
    let folder = WorkingFolder::new();
    let evil = "red \u{1b}[31m and \u{9b}2J\u{202e}\u{7f} end";
    folder
        .keep([&run(
            "2026-11-01T10:00:00Z",
            "contoso-kv/sql",
            &[("orders", BROKEN, evil)],
        )])
        .await;
    for arguments in [&["list"][..], &["--json"]] {
        let done = folder.run(arguments).await;
        let text = done.output + &done.errors;
        assert!(text.contains("red "), "{text:?}");
        assert!(
            !text.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7f}']),
            "{text:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let folder = WorkingFolder::new();
    for arguments in [
        &["--limit", "0"][..],
        &["--since", "yesterday"],
        &["--verdict", "bad"],
        &["--app", "a/b/c"],
        &["--cause", "bad"],
        &["--secret", "a b"],
        &["--limit", "3", "show"],
        &["other"],
    ] {
        assert_eq!(folder.run(arguments).await.code, Some(2), "{arguments:?}");
    }
}
