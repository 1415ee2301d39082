use keyrelay_config::Mode;
use keyrelay_model::{PlannedChange, Verdict};
use keyrelay_records::outcome::Outcome;
use keyrelay_records::record::{AzureRequest, Cause, FormerOutcome, PolicyRecord, Run};

use crate::harness::{WorkingFolder, run};

const LATER: &str = "20261101T100500000Z-0123abcd";

/// A run with something in every field.
fn full() -> Run {
    let mut run = run(
        "2026-11-01T10:00:00Z",
        "contoso-kv/sql",
        &[
            ("orders", Verdict::Verified, "Azure reports it"),
            ("web", Verdict::Refused, "beyond its grant"),
        ],
    );
    run.cause = Cause::Resubmit;
    run.of = Some("20261031T100000000Z-89abcdef".parse().unwrap());
    run.instance = Some("instance-7".to_owned());
    run.policy = Some(PolicyRecord {
        name: "alternate".to_owned(),
        digest: "d1ge57".to_owned(),
    });
    run.mode = Some(Mode::Monitor);
    run.ended = Some(Outcome::transient("an end of its own"));
    run.notes = vec!["a remark on the run".to_owned()];
    let rotation = &mut run.rotations[0];
    rotation.decision = Some("a decision".to_owned());
    rotation.plan = vec![
        PlannedChange {
            setting: "SQL".to_owned(),
            before: Some("reference one".to_owned()),
            after: Some("reference two".to_owned()),
        },
        PlannedChange {
            setting: "OLD".to_owned(),
            before: Some("there".to_owned()),
            after: None,
        },
    ];
    rotation.notes = vec!["a collision was repaired".to_owned()];
    rotation.policy_log = vec!["the policy says\nso".to_owned()];
    rotation.requests = vec![AzureRequest {
        operation: "write the settings".to_owned(),
        subject: "sites/orders".to_owned(),
        at: "2026-11-01T10:00:00.250Z".parse().unwrap(),
        duration_ms: 321,
        status: Some(200),
        request_id: Some("request-id-1".to_owned()),
        correlation_id: Some("correlation-id-1".to_owned()),
        attempts: 3,
    }];
    rotation.before = Some(FormerOutcome {
        outcome: Outcome::new(Verdict::Pending, "not seen yet"),
        settled_by: LATER.parse().unwrap(),
    });
    run
}

#[tokio::test]
async fn shows_everything_of_a_run() {
    let (folder, run) = (WorkingFolder::new(), full());
    folder.keep([&run]).await;
    let done = folder.run(&["show", "--requests", run.id.as_str()]).await;
    assert_eq!((done.code, done.errors.as_str()), (Some(0), ""));
    let settled = format!("until run {LATER} settled it");
    for expected in [
        run.id.as_str(),
        "2026-11-01T10:00:00.000Z, took 1234 ms",
        "resubmit, of run 20261031T100000000Z-89abcdef",
        "Microsoft.KeyVault.SecretNewVersionCreated",
        "event-1",
        "contoso-kv.vault.azure.net",
        "0c7751761b5a4ca09f3deec5fba4af83",
        "2026-10-31T05:32:19Z",
        "2027-10-31T05:32:19Z",
        "alternate",
        "d1ge57",
        "monitor",
        "invocation-1",
        "instance-7",
        "failed: an end of its own",
        "a remark on the run",
        "the event was to be delivered again",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders",
        "verified: Azure reports it",
        "pending: not seen yet",
        settled.as_str(),
        "800 ms",
        "a decision",
        "SQL: reference one -> reference two",
        "OLD: there -> (absent)",
        "a collision was repaired",
        "the policy says",
        "2026-11-01T10:00:00.250Z write the settings, sites/orders: 200 in 321 ms, sent 3 times",
        "request-id-1",
        "correlation-id-1",
        "refused: beyond its grant",
    ] {
        assert!(
            done.output.contains(expected),
            "no `{expected}` in\n{}",
            done.output
        );
    }
}

#[tokio::test]
async fn json_is_the_record() {
    let (folder, run) = (WorkingFolder::new(), full());
    folder.keep([&run]).await;
    let done = folder.run(&["show", "--json", run.id.as_str()]).await;
    let shown: serde_json::Value = serde_json::from_str(&done.output).unwrap();
    assert_eq!(shown, serde_json::to_value(&run).unwrap());
}

#[tokio::test]
async fn a_run_that_is_not_there_is_a_failure_that_names_the_store() {
    let (folder, run) = (WorkingFolder::new(), full());
    folder.keep([&run]).await;
    let done = folder.run(&["show", LATER]).await;
    assert_eq!(done.code, Some(1));
    for expected in [LATER, ".keyrelay/store", "keep_runs_days"] {
        assert!(done.errors.contains(expected), "{}", done.errors);
    }
}

#[tokio::test]
async fn what_is_no_id_is_refused() {
    let done = WorkingFolder::new().run(&["show", "../../x"]).await;
    assert_eq!(done.code, Some(2));
    assert!(
        done.errors.contains("is not the id of a run"),
        "{}",
        done.errors
    );
}

#[tokio::test]
async fn what_failed_comes_first_and_requests_are_counted() {
    let (folder, run) = (WorkingFolder::new(), full());
    folder.keep([&run]).await;
    for id in ["latest", "20261101T", "20261101T1000", run.id.as_str()] {
        let done = folder.run(&["show", id]).await;
        assert_eq!((done.code, done.errors.as_str()), (Some(0), ""), "{id}");
        assert!(
            done.output.contains("apps         1 refused, 1 verified"),
            "{}",
            done.output
        );
        let place = |text: &str| done.output.find(text).unwrap();
        assert!(place("refused: beyond its grant") < place("verified: Azure reports it"));
        assert!(
            done.output.contains("1 (`--requests` shows them)"),
            "{}",
            done.output
        );
        assert!(!done.output.contains("request-id-1"));
    }
    let done = folder.run(&["show", "20261102T"]).await;
    assert_eq!(done.code, Some(1));
    assert!(
        done.errors.contains("no run in the store"),
        "{}",
        done.errors
    );
}

#[tokio::test]
async fn an_ambiguous_beginning_is_refused_and_names_runs() {
    let folder = WorkingFolder::new();
    let runs = ["2026-11-01T10:00:00Z", "2026-11-01T11:00:00Z"].map(|began| {
        run(
            began,
            "contoso-kv/sql",
            &[("orders", Verdict::Verified, "fine")],
        )
    });
    folder.keep(&runs).await;
    let done = folder.run(&["show", "20261101T1"]).await;
    assert_eq!(done.code, Some(2), "{}", done.errors);
    for run in &runs {
        assert!(done.errors.contains(run.id.as_str()), "{}", done.errors);
    }
    let done = folder.run(&["show", "20261101T11"]).await;
    assert!(done.output.contains(runs[1].id.as_str()), "{}", done.errors);
}

#[tokio::test]
async fn three_hundred_apps_fit_a_screen_worst_first() {
    let folder = WorkingFolder::new();
    let names: Vec<String> = (0..300)
        .map(|number| format!("a-shop-with-a-long-name-{number}"))
        .collect();
    let failed = Verdict::Failed(keyrelay_model::Retryability::Permanent);
    let apps = names.iter().enumerate().map(|(number, name)| match number {
        250 => (
            name.as_str(),
            failed,
            "Azure refused it, with a reason that is longer than the rest of the line",
        ),
        _ => (name.as_str(), Verdict::Verified, "it has the version"),
    });
    let apps: Vec<_> = apps.collect();
    let many = run("2026-11-02T10:00:00Z", "contoso-kv/sql", &apps);
    folder.keep([&many]).await;
    let done = folder.run(&["show", "latest"]).await;
    assert_eq!(done.code, Some(0), "{}", done.errors);
    let lines: Vec<&str> = done.output.lines().collect();
    assert!(lines.len() <= 40, "{} lines", lines.len());
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{}",
        done.output
    );
    assert!(
        done.output.contains("1 failed, 299 verified"),
        "{}",
        done.output
    );
    let first = lines.iter().position(|line| line.is_empty()).unwrap() + 1;
    assert!(
        lines[first].starts_with("failed ") && lines[first].contains("Azure refused"),
        "{}",
        done.output
    );
    assert!(
        done.output.contains("285 more; `--all` shows"),
        "{}",
        done.output
    );
    let all = folder.run(&["show", "latest", "--all"]).await;
    assert!(
        all.output.contains("a-shop-with-a-long-name-299"),
        "{}",
        all.errors
    );
}
