//! The location of the store.

use std::fs;

use keyrelay_records::record::Run;

use crate::blobs::Blobs;
use crate::harness::{Done, WorkingFolder, done, history, run};

const TIME: &str = "2026-11-01T10:00:00Z";

/// Writes a store with one run into a subfolder.
async fn store(folder: &WorkingFolder, name: &str) -> Run {
    let run = run(TIME, &format!("contoso-kv/{name}"), &[]);
    history(&folder.path().join(name)).keep(&run).await.unwrap();
    run
}

#[track_caller]
fn has_listed(done: &Done, secret: &str) {
    assert_eq!(done.code, Some(0), "{}", done.errors);
    assert!(
        done.output.contains(&format!("contoso-kv/{secret} ")),
        "{}",
        done.output
    );
}

#[tokio::test]
async fn the_option_wins_over_the_environment_over_the_file_over_the_default() {
    let folder = WorkingFolder::new();
    folder.keep([&run(TIME, "contoso-kv/default", &[])]).await;
    for name in ["option", "environment", "file"] {
        store(&folder, name).await;
    }
    has_listed(&folder.run(&[]).await, "default");
    fs::write(folder.path().join("keyrelay.toml"), "store = 'file'").unwrap();
    has_listed(&folder.run(&[]).await, "file");
    let in_environment = |arguments: &[&str]| {
        let mut command = folder.command(arguments);
        command.env("KEYRELAY_STORE", "environment");
        done(command)
    };
    has_listed(&in_environment(&[]).await, "environment");
    has_listed(&in_environment(&["list"]).await, "environment");
    has_listed(&in_environment(&["--store", "option"]).await, "option");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_said_and_not_made() {
    let folder = WorkingFolder::new();
    for arguments in [
        &["--store", "nowhere"][..],
        &[
            "resubmit",
            "--store",
            "nowhere",
            "20261101T100000000Z-01234567",
        ],
    ] {
        let done = folder.run(arguments).await;
        assert_eq!(done.code, Some(2));
        assert!(
            done.errors.contains("`nowhere`") && done.errors.contains("--store"),
            "{}",
            done.errors
        );
    }
    assert!(!folder.path().join("nowhere").exists());
}

#[tokio::test]
async fn mistakes_in_the_configuration_are_named() {
    let folder = WorkingFolder::new();
    fs::write(
        folder.path().join("keyrelay.toml"),
        "stroe = 'file'\nmode = 7",
    )
    .unwrap();
    let refused = folder.run(&[]).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.errors.contains("stroe") && refused.errors.contains("mode"),
        "{}",
        refused.errors
    );
    // They do not matter if the store is named.
    assert_eq!(
        folder.run(&["--store", ".keyrelay/store"]).await.code,
        Some(0)
    );
}

#[tokio::test]
async fn what_is_no_container_is_refused() {
    let folder = WorkingFolder::new();
    for url in [
        "http://contoso.blob.core.windows.net/keyrelay",
        "https://contoso.blob.core.windows.net",
        "",
    ] {
        assert_eq!(folder.run(&["--store", url]).await.code, Some(2), "{url}");
    }
}

#[tokio::test]
async fn a_container_is_read_with_the_managed_identity() {
    let folder = WorkingFolder::new();
    let kept = run(TIME, "contoso-kv/sql", &[]);
    let blobs = Blobs::start(&kept).await;
    let mut command = folder.command(&["--store", &blobs.container(), "--json"]);
    command.envs(blobs.identity());
    let done = done(command).await;
    assert_eq!(done.code, Some(0), "{}", done.errors);
    let listed: serde_json::Value = serde_json::from_str(&done.output).unwrap();
    assert_eq!(listed, serde_json::to_value(&kept).unwrap());
}

#[tokio::test]
async fn a_container_that_refuses_us_is_named_with_the_role_that_is_missing() {
    let folder = WorkingFolder::new();
    let blobs = Blobs::start(&run(TIME, "contoso-kv/sql", &[])).await;
    let url = blobs.container().replace("keyrelay", "of-others");
    let mut command = folder.command(&["--store", &url]);
    command.envs(blobs.identity());
    let done = done(command).await;
    assert_eq!(done.code, Some(1));
    assert!(
        done.errors.contains(&url) && done.errors.contains("Storage Blob Data"),
        "{}",
        done.errors
    );
    assert_eq!(
        done.errors.matches("403 Forbidden").count(),
        1,
        "{}",
        done.errors
    );
}
