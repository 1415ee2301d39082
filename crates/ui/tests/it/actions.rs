//! The actions of operators, from the confirmation to the record.

use jiff::Timestamp;
use keyrelay_config::Mode;
use keyrelay_model::Verdict;
use keyrelay_records::holds::Holds;
use keyrelay_records::pending::PendingRotation;
use keyrelay_records::{Cause, Outcome, Pending, PostponedEvent, Run, RunId};

use crate::browser::{Browser, links};
use crate::site::{Folders, VAULT, app_id, failed, minutes, run, usual, verified};

fn pending(folders: &Folders) -> Pending {
    Pending::new(folders.store.clone())
}

/// The resubmitted events that wait, by their runs.
async fn resubmitted(folders: &Folders) -> Vec<RunId> {
    let pending = pending(folders);
    let mut runs = Vec::new();
    for key in pending.list().await.unwrap().events {
        let entry = pending
            .read::<PostponedEvent>(key.as_str())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(entry.value.cause, Cause::Resubmit);
        runs.extend(entry.value.run);
    }
    runs.sort();
    runs
}

#[tokio::test]
async fn a_run_is_resubmitted_once_and_on_record() {
    let folders = Folders::new();
    let id = folders
        .keep(&run(minutes(9), "sql", &[("orders", failed())]))
        .await;
    let browser = Browser::open(folders.serve().await).await;
    let link = links(
        &browser.page(&format!("/runs/{id}")).await,
        "/act/resubmit?",
    )
    .remove(0);
    let page = browser.page(&link).await;
    for part in [
        "What will happen",
        "is handled again",
        "within a minute",
        "action of <strong>ada</strong>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(resubmitted(&browser.site.folders).await.is_empty());
    let record = browser.act(&link, "the role is there now").await;
    for part in [
        "done",
        "1 events wait",
        "the role is there now",
        id.as_str(),
    ] {
        assert!(record.contains(part), "{part}: {record}");
    }
    assert_eq!(
        resubmitted(&browser.site.folders).await,
        std::slice::from_ref(&id)
    );
    let record = browser.act(&link, "").await;
    assert!(record.contains("1 were waiting already"), "{record}");
    let actions = browser.page("/actions").await;
    assert_eq!(actions.matches("the role is there now").count(), 1);
    assert!(actions.contains(">ada<") && actions.contains("resubmit"));
}

#[tokio::test]
async fn all_that_failed_is_resubmitted_and_what_was_repaired_is_not() {
    let folders = Folders::new();
    let sql = folders
        .keep(&run(minutes(50), "sql", &[("orders", failed())]))
        .await;
    let twice = folders
        .keep(&run(minutes(40), "storage", &[("orders", failed())]))
        .await;
    folders
        .keep(&run(minutes(45), "storage", &[("orders", failed())]))
        .await;
    folders
        .keep(&run(minutes(48), "repaired", &[("orders", failed())]))
        .await;
    folders
        .keep(&run(minutes(30), "repaired", &[("orders", verified())]))
        .await;
    folders
        .keep(&run(minutes(500), "old", &[("orders", failed())]))
        .await;
    let browser = Browser::open(folders.serve().await).await;
    let link = links(
        &browser.page("/runs?since=2h").await,
        "/act/resubmit-failed?",
    )
    .remove(0);
    let page = browser.page(&link).await;
    assert!(page.contains("The events of 2 runs"), "{page}");
    browser.act(&link, "").await;
    let mut expected = vec![sql, twice];
    expected.sort();
    assert_eq!(resubmitted(&browser.site.folders).await, expected);
}

#[tokio::test]
async fn a_secret_is_held_and_resumed_with_the_run_that_it_missed() {
    let browser = Browser::open(usual().await.serve().await).await;
    let path = format!("/secrets/{VAULT}/sql");
    let link = links(&browser.page(&path).await, "/act/hold?").remove(0);
    let page = browser.page(&link).await;
    assert!(page.contains("2 settings reference it today"), "{page}");
    let record = browser.act(&link, "the freeze").await;
    assert!(record.contains("The secret is held."), "{record}");
    let page = browser.page(&path).await;
    for part in [
        "Held",
        "the freeze",
        "It would only be recorded",
        "and monitor while it is held",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(browser.page("/").await.contains("Held secrets"));
    let again = browser.page(&link).await;
    assert!(
        again.contains("Nothing: ") && !again.contains("<form"),
        "{again}"
    );

    // What keyrelay-host records while the secret is held.
    let folders = &browser.site.folders;
    let holds = Holds::new(folders.store.clone()).list().await.unwrap();
    let monitored = Outcome::new(Verdict::Monitored, "would refresh");
    let mut missed = run(minutes(0), "sql", &[("orders", monitored)]);
    missed.id = RunId::at(Timestamp::now());
    missed.mode = Some(Mode::Monitor);
    missed.notes = vec![holds[0].note()];
    folders.keep(&missed).await;

    let link = links(&browser.page(&path).await, "/act/resume?").remove(0);
    let page = browser.page(&link).await;
    assert!(page.contains(missed.id.as_str()), "{page}");
    let record = browser.act(&link, "").await;
    assert!(
        record.contains("The secret is resumed. 1 events wait"),
        "{record}"
    );
    assert_eq!(resubmitted(folders).await, [missed.id]);
    assert!(
        Holds::new(folders.store.clone())
            .list()
            .await
            .unwrap()
            .is_empty()
    );
    assert!(!browser.page(&path).await.contains("Held"));
}

#[tokio::test]
async fn a_hold_needs_a_reason() {
    let browser = Browser::open(usual().await.serve().await).await;
    let link = format!("/act/hold?vault={VAULT}&secret=sql");
    let page = browser.page(&link).await;
    assert!(page.contains(" required"), "{page}");
    let form = crate::browser::hidden_fields(&page);
    assert_eq!(browser.send("/act/hold", &form).await.status, 400);
    assert!(browser.page("/actions").await.contains("No operator"));
}

#[tokio::test]
async fn an_app_is_verified_now() {
    let folders = usual().await;
    let orders = app_id("orders").parse().unwrap();
    let of: Run = run(minutes(3), "sql", &[]);
    let now = Timestamp::now();
    let rotation = PendingRotation {
        run: folders.keep(&of).await,
        event: of.event.clone().unwrap(),
        since: now,
        held: None,
        due: now + minutes(10),
        attempts: 1,
        reason: "Azure has not confirmed it".to_owned(),
        is_refresh: true,
        restarts: false,
        connection_strings: true,
        rollback: Vec::new(),
        notes: Vec::new(),
    };
    pending(&folders)
        .keep_work(&orders, rotation)
        .await
        .unwrap();
    let browser = Browser::open(folders.serve().await).await;
    let page = browser.page("/apps/s/g/orders").await;
    assert!(
        page.contains("Azure has not confirmed it") && page.contains("due in "),
        "{page}"
    );
    let link = links(&page, "/act/verify-now?").remove(0);
    assert!(browser.page(&link).await.contains("due at once: 1 of them"));
    let record = browser.act(&link, "").await;
    assert!(record.contains("1 pending rotations are due"), "{record}");
    let keys = pending(&browser.site.folders).list().await.unwrap();
    assert_eq!((keys.work.len(), keys.changed.len()), (1, 1));
    assert!(keys.work[0].due() <= Timestamp::now() + minutes(1));
}
