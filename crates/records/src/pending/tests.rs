use std::time::Duration;

use jiff::Timestamp;
use keyrelay_store::Store;

use super::*;

/// Pending work as keyrelay 0.1.0 wrote it before "undo" became `rollback`.
const BEFORE: &str = r#"{
    "app": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders",
    "works": [{
        "run": "20261123T054539123Z-1f3a9c2d",
        "event": {
            "id": "e-1",
            "type": "Microsoft.KeyVault.SecretNewVersionCreated",
            "vault_host": "contoso-kv.vault.azure.net",
            "kind": "Secret",
            "name": "sql",
            "occurrence": "NewVersionCreated",
            "version": "0c7751761b5a4ca09f3deec5fba4af83",
            "time": 1772360430,
            "nanoseconds": 5,
            "not_before": null,
            "expires": null
        },
        "since": "2026-11-23T05:45:39.123Z",
        "due": "2026-11-23T05:46:39.123Z",
        "attempts": 2,
        "reason": "the reference is not resolved yet",
        "undo": [
            {
                "setting": "SQL",
                "before": { "reference": "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)" },
                "after": "absent"
            },
            { "setting": "TEXT", "before": "plain-text", "after": "absent" }
        ]
    }]
}"#;

#[test]
fn pending_work_of_an_earlier_version_is_read() {
    let work: PendingWork = serde_json::from_str(BEFORE).unwrap();
    let [rotation] = work.rotations.as_slice() else {
        panic!("{work:?}");
    };
    assert_eq!((rotation.attempts, rotation.rollback.len()), (2, 2));
    let (plan, not_kept) = to_plan(&rotation.rollback, "vault.azure.net");
    assert_eq!(plan.changes().count(), 1);
    assert_eq!(not_kept, ["TEXT"]);
}

#[test]
fn pending_work_is_written_in_the_present_form() {
    let work: PendingWork = serde_json::from_str(BEFORE).unwrap();
    let mut expected: serde_json::Value = serde_json::from_str(BEFORE).unwrap();
    let rotation = expected["works"][0].as_object_mut().unwrap();
    let rollback = rotation.remove("undo").unwrap();
    rotation.insert("rollback".to_owned(), rollback);
    rotation.insert("connection_strings".to_owned(), true.into());
    rotation.insert("is_refresh".to_owned(), false.into());
    expected["claimed_until"] = serde_json::Value::Null;
    assert_eq!(serde_json::to_value(&work).unwrap(), expected);
}

/// Pending work in a folder, and the work of one run.
async fn kept() -> (tempfile::TempDir, Pending, AppId, WorkEntry) {
    let folder = tempfile::tempdir().unwrap();
    let pending = Pending::new(Store::folder(folder.path()).unwrap());
    let work: PendingWork = serde_json::from_str(BEFORE).unwrap();
    let app: AppId = work.app.parse().unwrap();
    let rotation = work.rotations[0].clone();
    let entry = pending.keep_work(&app, rotation).await.unwrap();
    (folder, pending, app, entry)
}

async fn keys(pending: &Pending) -> Vec<String> {
    let keys = pending.list().await.unwrap().work;
    keys.iter().map(|key| key.as_str().to_owned()).collect()
}

const CLAIM: Duration = Duration::from_mins(1);

#[tokio::test]
async fn of_two_claims_one_succeeds() {
    let (_folder, pending, ..) = kept().await;
    let [key] = keys(&pending).await.try_into().unwrap();
    let claims = futures::future::join_all((0..8).map(|_| pending.claim_work(&key, CLAIM))).await;
    let claimed: Vec<WorkEntry> = claims.into_iter().flatten().flatten().collect();
    assert_eq!(claimed.len(), 1);
    assert!(pending.claim_work(&key, CLAIM).await.unwrap().is_empty());
}

#[tokio::test]
async fn work_that_another_instance_has_taken_over_stays_as_it_is() {
    let (_folder, pending, app, entry) = kept().await;
    let [key] = keys(&pending).await.try_into().unwrap();
    let claimed = pending.claim_work(&key, CLAIM).await.unwrap();
    let as_claimed = pending.read::<serde_json::Value>(&key).await.unwrap();
    let as_claimed = as_claimed.unwrap().value;

    let mut late = entry.clone();
    let mut rotation = late.rotations()[0].clone();
    rotation.attempts = 99;
    assert!(!late.update(rotation.clone()).await.unwrap());
    rotation.due = Timestamp::now();
    assert!(!late.update(rotation).await.unwrap());
    assert!(!entry.clone().finish().await.unwrap());
    entry.remove_finished(|_| true).await.unwrap();
    assert_eq!(keys(&pending).await, std::slice::from_ref(&key));
    let now = pending.read::<serde_json::Value>(&key).await.unwrap();
    assert_eq!(now.unwrap().value, as_claimed);

    for owner in claimed {
        assert!(owner.finish().await.unwrap());
    }
    assert!(pending.of_app(&app).await.unwrap().is_empty());
}

#[tokio::test]
async fn work_that_moves_to_another_due_time_is_there_once_and_keeps_its_remarks() {
    let (_folder, pending, app, mut entry) = kept().await;
    let [before] = keys(&pending).await.try_into().unwrap();
    assert!(entry.keep_notes(&["a remark".to_owned()]).await.unwrap());
    let mut rotation = entry.rotations()[0].clone();
    rotation.due = Timestamp::now();
    assert!(entry.update(rotation).await.unwrap());
    let [after] = keys(&pending).await.try_into().unwrap();
    assert_ne!(before, after);
    let found = pending.of_app(&app).await.unwrap();
    assert_eq!(found[0].rotations()[0].notes, ["a remark"]);
}

#[tokio::test]
async fn a_comparison_that_another_instance_has_ended_meanwhile_is_not_claimed() {
    let (_folder, pending, _, _) = kept().await;
    let duration = Duration::from_secs(60);
    let first = pending.claim_comparison(None, duration).await.unwrap();
    let due = "2026-11-25T01:02:03Z".parse().unwrap();
    let kept_now = pending.keep_comparison(first.unwrap(), due).await.unwrap();
    assert!(kept_now);
    let before = pending.0.list(COMPARISON).await.unwrap();
    // This one has listed the keys before the first one began.
    let second = pending.claim_comparison(None, duration).await.unwrap();
    assert!(second.is_none());
    assert_eq!(pending.0.list(COMPARISON).await.unwrap(), before);
}

#[tokio::test]
async fn a_list_of_what_is_pending_reads_no_object() {
    let folder = tempfile::tempdir().unwrap();
    let pending = Pending::new(Store::folder(folder.path()).unwrap());
    for key in [
        "pending/apps/s/g/orders/r--due-1.json",
        "pending/events/kv--due-2.json",
        "pending/audits/s/g/orders/r--due-3.json",
        "pending/comparison/all--due-4.json",
    ] {
        let file = folder.path().join(key);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "no JSON").unwrap();
    }
    let keys = pending.list().await.unwrap();
    assert_eq!(keys.all().count(), 3);
    assert_eq!(keys.next_due().map(|due| due.as_millisecond()), Some(1));
    assert!(keys.comparison.is_some());
}

#[tokio::test]
async fn a_changed_app_is_noted_once_and_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let pending = Pending::new(Store::folder(folder.path()).unwrap());
    let slot =
        "/subscriptions/S/resourceGroups/g/providers/Microsoft.Web/sites/Orders/slots/staging";
    let slot: AppId = slot.parse().unwrap();
    for app in [&slot, &slot.production(), &slot] {
        pending.mark_changed(app).await.unwrap();
    }
    let keys = pending.list().await.unwrap();
    let expected = ["s/g/orders.json", "s/g/orders/staging.json"];
    assert_eq!(
        keys.changed,
        expected.map(|end| format!("pending/changed/{end}"))
    );
    assert_eq!((keys.all().count(), keys.sweep), (0, false));
    for (key, app) in keys.changed.iter().zip([slot.production(), slot.clone()]) {
        let changed = pending.begin_reading(key).await.unwrap().unwrap();
        assert_eq!(changed.app.to_string(), app.to_string());
        assert_eq!(pending.begin_reading(key).await.unwrap(), None);
    }
    // An instance that dies now has read nothing: the next one does. A change from now on is another one.
    pending.mark_changed(&slot).await.unwrap();
    let keys = pending.list().await.unwrap().changed;
    let [again, others @ ..] = keys.as_slice() else {
        panic!("{keys:?}")
    };
    assert_eq!(again, "pending/changed/s/g/orders/staging.json");
    assert_eq!(others, expected.map(|end| format!("pending/reading/{end}")));
    for key in &keys {
        if let Some(changed) = pending.begin_reading(key).await.unwrap() {
            pending.end_reading(&changed).await.unwrap();
        }
    }
    // An object that cannot be read does not stay.
    let unreadable = "pending/changed/a.json";
    pending.0.write(unreadable, &1).await.unwrap();
    assert_eq!(pending.begin_reading(unreadable).await.unwrap(), None);
    assert!(pending.list().await.unwrap().changed.is_empty());
}

#[tokio::test]
async fn a_comparison_that_cannot_be_read_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let pending = Pending::new(Store::folder(folder.path()).unwrap());
    let key = format!("{COMPARISON}/all--due-1.json");
    pending.0.write(&key, &1).await.unwrap();
    let keys = pending.list().await.unwrap();
    assert!(
        pending
            .comparison(keys.comparison.as_ref().unwrap())
            .await
            .unwrap()
            .is_none()
    );
    let minute = Duration::from_mins(1);
    let claimed = pending.claim_comparison(keys.comparison.as_ref(), minute);
    let entry = claimed.await.unwrap().unwrap();
    assert!(entry.value.first.is_some() && entry.value.compared.is_none());
    let keys = pending.0.list(COMPARISON).await.unwrap();
    assert_eq!(keys, [entry.key]);
}
