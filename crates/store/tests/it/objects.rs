//! Objects with conditions.

use keyrelay_store::Store;

use crate::place::{Place, in_both_places};

in_both_places! {
    what_was_written_is_read,
    only_one_creates,
    only_what_was_read_is_replaced,
    of_many_who_add_one_nobody_is_lost,
    a_folder_lists_its_keys_in_order,
    a_key_comes_out_as_it_went_in,
    what_is_not_there_is_deleted_already,
}

async fn what_was_written_is_read(place: Place) {
    let store = place.store();
    assert!(store.read("a/b").await.unwrap().is_none());
    store.write("a/b", &1).await.unwrap();
    store.write("a/b", &2).await.unwrap();
    assert_eq!(store.read_json::<u32>("a/b").await.unwrap().unwrap().0, 2);
}

async fn only_one_creates(place: Place) {
    let store = place.store();
    store.create("a/b", &1).await.unwrap();
    assert!(store.create("a/b", &2).await.unwrap_err().is_conflict());
    assert_eq!(store.read_json::<u32>("a/b").await.unwrap().unwrap().0, 1);
}

async fn only_what_was_read_is_replaced(place: Place) {
    let store = place.store();
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

async fn of_many_who_add_one_nobody_is_lost(place: Place) {
    let store = place.store();
    store.write("count", &0).await.unwrap();
    let adding = (0..8).map(|_| {
        let store = place.store();
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

async fn a_folder_lists_its_keys_in_order(place: Place) {
    let store = place.store();
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

async fn what_is_not_there_is_deleted_already(place: Place) {
    let store = place.store();
    store.delete("nothing").await.unwrap();
}

#[tokio::test]
async fn what_is_no_json_names_its_key_and_not_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(&folder.path().join("store")).unwrap();
    std::fs::write(folder.path().join("store/broken"), "planted-value-").unwrap();
    let error = store.read_json::<u32>("broken").await.unwrap_err();
    assert!(error.to_string().contains("`broken`"), "{error}");
    assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_gone_is_out_of_reach_or_empty_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(&folder.path().join("store")).unwrap();
    drop(folder);
    let _ = store.read("a").await;
    assert!(store.create("a", &1).await.is_err());
}

async fn a_key_comes_out_as_it_went_in(place: Place) {
    let store = place.store();
    // What a resource group may be called, and what else an id may hold.
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
