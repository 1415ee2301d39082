//! `keyrelay status`: the fleet, from the store.

mod live;

use std::collections::BTreeSet;

use jiff::Timestamp;
use keyrelay_azure::Scope;
use keyrelay_records::index::{
    CurrentVersion, Found, Index, IndexChange, IndexUpdate, IndexedReference, IndexedRule,
    NewestVersion, SecretChange, SecretUpdate,
};
use keyrelay_store::Store;
use serde_json::Value;

use crate::harness::{Done, WorkingFolder, done};

const NEW: &str = "0f3b0f3b0f3b0f3b0f3b0f3b0f3b0f3b";
const OLD: &str = "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a";

/// A fleet with this number of apps. The first one has an older version than the others.
async fn fleet(apps: usize) -> WorkingFolder {
    let folder = WorkingFolder::new();
    let store = Store::folder(&folder.path().join(".keyrelay/store")).unwrap();
    let index = Index::new(store);
    let now = Timestamp::now();
    let updates = (0..apps).flat_map(|number| {
        let id = format!(
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/a-shop-with-a-long-name-{number}"
        );
        let change = |change| IndexUpdate {
            vault: "contoso-kv.vault.azure.net".parse().unwrap(),
            secret: "sql".parse().unwrap(),
            app: id.parse().unwrap(),
            change,
        };
        let reference = IndexedReference {
            setting: "SQL".to_owned(),
            is_connection_string: false,
            version: None,
            identity: None,
        };
        let current = CurrentVersion {
            version: if number == 0 { OLD } else { NEW }.to_owned(),
            evidence: Some("refreshed twice".to_owned()),
            at: if number == 0 { now - std::time::Duration::from_hours(30) } else { now },
        };
        [
            change(IndexChange::Found(Found {
                references: vec![reference],
                with_connection_strings: true,
                at: now,
            })),
            change(IndexChange::Current(current)),
        ]
    });
    index.update(updates.collect()).await.unwrap();
    let scope: Scope = "/subscriptions/s".parse().unwrap();
    index.swept(now, &[scope], &BTreeSet::new()).await.unwrap();
    folder
}

async fn status(folder: &WorkingFolder, arguments: &[&str]) -> Done {
    let all: Vec<&str> = ["status"].iter().chain(arguments).copied().collect();
    done(folder.program(&all)).await
}

#[tokio::test]
async fn three_hundred_apps_fit_a_screen_worst_first() {
    let folder = fleet(300).await;
    let done = status(&folder, &[]).await;
    assert_eq!((done.code, done.errors.as_str()), (Some(0), ""));
    let lines: Vec<&str> = done.output.lines().collect();
    assert_eq!(lines[0], "0 broken, 1 behind, 299 fresh");
    assert!(lines[2].starts_with("behind "), "{}", done.output);
    assert!(lines[2].contains("1a1a1a1a"), "{}", done.output);
    assert!(lines[3].contains("SQL: other apps have a newer version"));
    assert!(done.output.contains("280 more: `--limit 0` shows all"));
    assert!(lines.len() <= 24, "{} lines", lines.len());
    let widest = lines.iter().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{}", done.output);
}

#[tokio::test]
async fn a_script_gets_json_filters_and_an_exit_code() {
    let folder = fleet(3).await;
    let done = status(&folder, &["--json", "--state", "behind", "--check"]).await;
    assert_eq!(done.code, Some(1), "{}", done.errors);
    assert!(
        done.errors.contains("0 broken, 1 behind"),
        "{}",
        done.errors
    );
    let json: Value = serde_json::from_str(&done.output).unwrap();
    let [behind] = json["uses"].as_array().unwrap().as_slice() else {
        panic!("{json}")
    };
    assert_eq!(behind["version"], OLD);
    assert_eq!(behind["setting"], "SQL");
    assert_eq!(behind["vault"], "contoso-kv.vault.azure.net");
    assert!(behind["behind_since"].is_string() && json["swept"].is_string());

    for filter in [
        ["--app", "a-shop-with-a-long-name-2"],
        ["--secret", "s*"],
        ["--vault", "contoso-kv"],
    ] {
        let done = status(
            &folder,
            &["--check", "--state", "fresh", filter[0], filter[1]],
        )
        .await;
        assert_eq!(done.code, Some(0), "{filter:?}: {}", done.errors);
        assert!(done.output.contains("refreshed twice"), "{filter:?}");
    }
    let done = status(&folder, &["--csv", "--state", "behind"]).await;
    let lines: Vec<&str> = done.output.lines().collect();
    let [head, behind] = lines.as_slice() else {
        panic!("{}", done.output)
    };
    assert!(head.starts_with("\"state\",\"behind since\","), "{head}");
    assert!(
        behind.starts_with("\"behind\",") && behind.contains(OLD),
        "{behind}"
    );
    let done = status(&folder, &["--secret", "other"]).await;
    assert_eq!((done.code, done.output.as_str()), (Some(0), ""));
    assert!(done.errors.contains("no such uses"), "{}", done.errors);
}

#[tokio::test]
async fn an_installation_without_a_sweep_says_that_apps_may_be_missing() {
    let folder = WorkingFolder::new();
    let done = status(&folder, &[]).await;
    assert_eq!(done.code, Some(0), "{}", done.errors);
    assert!(done.errors.contains("no sweep"), "{}", done.errors);
}

/// Tells the index of the secret of the fleet.
async fn tell(folder: &WorkingFolder, change: SecretChange) {
    let store = Store::folder(&folder.path().join(".keyrelay/store")).unwrap();
    let update = SecretUpdate {
        vault: "contoso-kv.vault.azure.net".parse().unwrap(),
        secret: "sql".parse().unwrap(),
        change,
    };
    let index = Index::new(store);
    index.update_with(Vec::new(), vec![update]).await.unwrap();
}

#[tokio::test]
async fn what_expires_and_what_is_not_watched_is_told_with_its_reason() {
    let folder = fleet(2).await;
    let now = Timestamp::now();
    let newest = NewestVersion {
        version: NEW.to_owned(),
        created: now - std::time::Duration::from_hours(48),
        expires: Some(now + std::time::Duration::from_hours(12 * 24 + 1)),
    };
    tell(&folder, SecretChange::Newest(newest)).await;
    let done = status(&folder, &[]).await;
    assert!(
        done.output.contains("0 broken, 1 behind, 1 expiring"),
        "{}",
        done.output
    );
    assert!(
        done.output.contains("SQL: the version expires in 12 days"),
        "{}",
        done.output
    );
    let done = status(&folder, &["--json", "--state", "expiring", "--check"]).await;
    assert_eq!(done.code, Some(0), "{}", done.errors);
    let json: Value = serde_json::from_str(&done.output).unwrap();
    assert_eq!(json["uses"][0]["newest"], NEW);
    assert!(json["uses"][0]["expires"].is_string() && json["uses"][0]["created"].is_string());

    let rule = IndexedRule {
        unwatched: Some("its rule has the mode `monitor`".to_owned()),
        apps: BTreeSet::new(),
    };
    tell(&folder, SecretChange::Rule(rule)).await;
    let done = status(&folder, &[]).await;
    assert!(
        done.output.contains("0 broken, 1 behind, 1 not watched"),
        "{}",
        done.output
    );
    assert!(
        done.output.contains("SQL: its rule has the mode `monitor`"),
        "{}",
        done.output
    );
    let widest = done.output.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{}", done.output);
}

#[tokio::test]
async fn a_page_of_html_needs_no_other_file() {
    let folder = fleet(3).await;
    let done = status(&folder, &["--html", "fleet.html"]).await;
    assert_eq!(
        (done.code, done.output.as_str()),
        (Some(0), ""),
        "{}",
        done.errors
    );
    let page = std::fs::read_to_string(folder.path().join("fleet.html")).unwrap();
    for part in [
        "a-shop-with-a-long-name-2",
        "contoso-kv/sql",
        "behind",
        "<style>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for reference in ["href=", "src=", "<script", "url(", "@import"] {
        assert!(!page.contains(reference), "{reference}");
    }
    let done = status(&folder, &["--html", "missing/fleet.html"]).await;
    assert_eq!(done.code, Some(1));
    assert!(
        done.errors.contains("cannot write missing/fleet.html"),
        "{}",
        done.errors
    );
}
