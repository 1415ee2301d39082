//! Objects and conditional writes.

use keyrelay_store::{Store, StoreError};
use tokio::time::Instant;

use crate::backend::{Backend, on_both_backends};

on_both_backends! {
    a_written_object_is_read_back,
    only_the_first_create_succeeds,
    a_changed_object_is_not_replaced,
    no_concurrent_increment_is_lost,
    a_folder_lists_its_keys_in_order,
    a_key_is_listed_as_it_was_written,
    deleting_a_missing_object_succeeds,
    many_objects_are_deleted_at_once,
}

async fn a_written_object_is_read_back(backend: Backend) {
    let store = backend.store();
    assert!(store.read("a/b").await.unwrap().is_none());
    store.write("a/b", &1).await.unwrap();
    store.write("a/b", &2).await.unwrap();
    assert_eq!(store.read_json::<u32>("a/b").await.unwrap().unwrap().0, 2);
}

async fn only_the_first_create_succeeds(backend: Backend) {
    let store = backend.store();
    store.create("a/b", &1).await.unwrap();
    assert!(store.create("a/b", &2).await.unwrap_err().is_conflict());
    assert_eq!(store.read_json::<u32>("a/b").await.unwrap().unwrap().0, 1);
}

async fn a_changed_object_is_not_replaced(backend: Backend) {
    let store = backend.store();
    let created = store.create("a", &1).await.unwrap();
    let (_, read) = store.read_json::<u32>("a").await.unwrap().unwrap();
    assert_eq!(created, read);
    let second = store.replace("a", &2, &read).await.unwrap();
    assert!(
        store
            .replace("a", &3, &read)
            .await
            .unwrap_err()
            .is_conflict()
    );
    store.replace("a", &4, &second).await.unwrap();
    store.delete("a").await.unwrap();
    assert!(
        store
            .replace("a", &5, &second)
            .await
            .unwrap_err()
            .is_conflict()
    );
}

async fn no_concurrent_increment_is_lost(backend: Backend) {
    let store = backend.store();
    store.write("count", &0).await.unwrap();
    let adding = (0..8).map(|_| {
        let store = backend.store();
        tokio::spawn(async move {
            for _ in 0..25 {
                loop {
                    let (count, version) = store.read_json::<u32>("count").await.unwrap().unwrap();
                    match store.replace("count", &(count + 1), &version).await {
                        Ok(_) => break,
                        Err(error) => assert!(error.is_conflict(), "{error}"),
                    }
                }
            }
        })
    });
    for added in futures::future::join_all(adding).await {
        added.unwrap();
    }
    assert_eq!(
        store.read_json::<u32>("count").await.unwrap().unwrap().0,
        200
    );
}

async fn a_folder_lists_its_keys_in_order(backend: Backend) {
    let store = backend.store();
    assert!(store.list("runs").await.unwrap().is_empty());
    for key in ["runs/2/b", "runs/10/a", "other/x", "runs/2/a"] {
        store.write(key, &0).await.unwrap();
    }
    assert_eq!(
        store.list("runs").await.unwrap(),
        ["runs/10/a", "runs/2/a", "runs/2/b"]
    );
    assert_eq!(store.folders("runs").await.unwrap(), ["10", "2"]);
    assert!(store.folders("nothing").await.unwrap().is_empty());
}

async fn deleting_a_missing_object_succeeds(backend: Backend) {
    let store = backend.store();
    store.delete("nothing").await.unwrap();
}

#[tokio::test]
async fn invalid_json_is_reported_by_key_and_without_content() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(&folder.path().join("store")).unwrap();
    std::fs::write(folder.path().join("store/broken"), "planted-value-").unwrap();
    let error = store.read_json::<u32>("broken").await.unwrap_err();
    assert!(error.to_string().contains("`broken`"), "{error}");
    assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
}

#[tokio::test]
async fn a_deleted_folder_is_unavailable_or_empty_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(&folder.path().join("store")).unwrap();
    drop(folder);
    let _ = store.read("a").await;
    assert!(store.create("a", &1).await.is_err());
}

async fn a_key_is_listed_as_it_was_written(backend: Backend) {
    let store = backend.store();
    // Characters that names of resource groups and ids may contain.
    for key in [
        "pending/gr\u{f6}\u{df}e (1)/a b.json",
        "pending/50%25/~a#b.json",
    ] {
        store.write(key, &1).await.unwrap();
        let listed = store.list("pending").await.unwrap();
        assert_eq!(listed, [key]);
        let folder = key.rsplit_once('/').unwrap().0;
        assert_eq!(
            store.folders("pending").await.unwrap(),
            [folder.trim_start_matches("pending/")]
        );
        assert_eq!(store.list(folder).await.unwrap(), [key]);
        assert!(store.read_json::<u32>(key).await.unwrap().is_some());
        store.delete(key).await.unwrap();
    }
}

#[tokio::test]
async fn an_operation_ends_at_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(&folder.path().join("store")).unwrap();
    store.write("a", &1).await.unwrap();
    let late = store.with_deadline(Some(Instant::now()));
    assert!(matches!(
        late.read("a").await,
        Err(StoreError::Unavailable { .. })
    ));
    assert!(matches!(
        late.write("a", &2).await,
        Err(StoreError::Unavailable { .. })
    ));
    let unlimited = late.with_deadline(None);
    assert!(unlimited.read("a").await.unwrap().is_some());
}

async fn many_objects_are_deleted_at_once(backend: Backend) {
    let store = backend.store();
    // More than one batch, with one object that is missing.
    let mut keys: Vec<String> = (0..300).map(|number| format!("a/{number}")).collect();
    for key in &keys {
        store.write(key, &1).await.unwrap();
    }
    store.write("b", &1).await.unwrap();
    keys.insert(100, "a/missing".to_owned());
    store.delete_all(&keys).await.unwrap();
    store.delete_all(&[]).await.unwrap();
    assert_eq!(store.list("a").await.unwrap(), Vec::<String>::new());
    assert!(store.read("b").await.unwrap().is_some());
}
