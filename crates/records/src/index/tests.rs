use keyrelay_store::StoreError;

use super::*;

const SITES: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites";

fn index() -> (tempfile::TempDir, Index) {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::new(Store::folder(folder.path()).unwrap());
    (folder, index)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn vault() -> VaultHost {
    "contoso-kv.vault.azure.net".parse().unwrap()
}

fn update(app: &str, secret: &str, change: IndexChange) -> IndexUpdate {
    IndexUpdate {
        vault: vault(),
        secret: secret.parse().unwrap(),
        app: format!("{SITES}/{app}").parse().unwrap(),
        change,
    }
}

fn reference(setting: &str, is_connection_string: bool) -> IndexedReference {
    IndexedReference {
        setting: setting.to_owned(),
        is_connection_string,
        version: None,
        identity: None,
    }
}

fn found(
    references: &[IndexedReference],
    with_connection_strings: bool,
    at: Timestamp,
) -> IndexChange {
    IndexChange::Found(Found {
        references: references.to_vec(),
        with_connection_strings,
        at,
    })
}

async fn swept(index: &Index, second: i64) -> Result<(), StoreError> {
    index.swept(at(second), &[], &BTreeSet::new()).await
}

async fn users(index: &Index, secret: &str) -> Users {
    let state = index.state().await.unwrap().unwrap();
    let secret = secret.parse().unwrap();
    index.users(&state, &vault(), &secret).await.unwrap()
}

async fn apps(index: &Index, secret: &str) -> Vec<IndexedApp> {
    match users(index, secret).await {
        Users::Apps(apps) => apps,
        Users::Unknown(reason) => panic!("{reason}"),
    }
}

#[tokio::test]
async fn an_app_is_found_by_the_secret_until_it_does_not_reference_it() {
    let (_folder, index) = index();
    assert_eq!(index.state().await.unwrap(), None);
    let one = reference("SQL", false);
    let updates = vec![
        update(
            "orders",
            "sql",
            found(std::slice::from_ref(&one), true, at(1)),
        ),
        update(
            "orders",
            "mail",
            found(std::slice::from_ref(&one), true, at(1)),
        ),
    ];
    index.update(updates).await.unwrap();
    swept(&index, 1).await.unwrap();
    assert_eq!(apps(&index, "SQL").await.len(), 1);
    assert_eq!(apps(&index, "other").await, []);
    let none = update("orders", "sql", found(&[], true, at(2)));
    index.update(vec![none]).await.unwrap();
    assert_eq!(apps(&index, "sql").await, []);
    index
        .update(vec![update("orders", "mail", IndexChange::Gone)])
        .await
        .unwrap();
    assert_eq!(apps(&index, "mail").await, []);
}

#[tokio::test]
async fn a_read_without_the_connection_strings_keeps_those_that_are_known() {
    let (_folder, index) = index();
    let (setting, string) = (reference("SQL", false), reference("Db", true));
    let all = found(&[setting.clone(), string.clone()], true, at(1));
    index
        .update(vec![update("orders", "sql", all)])
        .await
        .unwrap();
    swept(&index, 1).await.unwrap();
    let settings = update("orders", "sql", found(&[], false, at(2)));
    index.update(vec![settings]).await.unwrap();
    assert_eq!(apps(&index, "sql").await[0].references, [string]);
}

#[tokio::test]
async fn what_is_known_stays_until_something_else_is_found() {
    let (folder, index) = index();
    let one = [reference("SQL", false)];
    let current = |version: &str, evidence, second| {
        let current = CurrentVersion::new(version, evidence, at(second));
        update("orders", "sql", IndexChange::Current(current))
    };
    let evidence = Some(Evidence::Pinned);
    let updates = vec![
        update("orders", "sql", found(&one, true, at(1))),
        current("b", evidence, 5),
        // Found by a sweep that had read the app before.
        current("a", None, 4),
        current("b", None, 6),
    ];
    index.update(updates).await.unwrap();
    swept(&index, 1).await.unwrap();
    let [app] = apps(&index, "sql").await.try_into().unwrap();
    assert_eq!(app.current, Some(CurrentVersion::new("b", evidence, at(5))));
    let shard = folder.path().join(&index.shards().await.unwrap()[0]);
    let written = std::fs::metadata(&shard).unwrap().modified().unwrap();
    let same = update("orders", "sql", found(&one, true, at(60)));
    index.update(vec![same]).await.unwrap();
    let unchanged = std::fs::metadata(&shard).unwrap().modified().unwrap();
    assert_eq!(
        written, unchanged,
        "a read that shows nothing new is a write"
    );
    let later = update("orders", "sql", found(&one, true, at(4_000)));
    index.update(vec![later]).await.unwrap();
    let [app] = apps(&index, "sql").await.try_into().unwrap();
    assert_eq!((app.since, app.seen), (at(1), at(4_000)));
}

#[tokio::test]
async fn the_apps_of_a_popular_secret_are_split_and_found() {
    let (folder, index) = index();
    let one = [reference("SQL", false)];
    let all = |from: usize, to: usize| -> Vec<IndexUpdate> {
        let numbers = from..to;
        numbers
            .map(|number| update(&format!("app-{number}"), "sql", found(&one, true, at(1))))
            .collect()
    };
    index.update(all(0, MAX_APPS)).await.unwrap();
    swept(&index, 1).await.unwrap();
    assert_eq!(apps(&index, "sql").await.len(), MAX_APPS);
    // Two writers split at once.
    let (first, second) = (all(MAX_APPS, 3_000), all(3_000, 5_000));
    let (first, second) = tokio::join!(index.update(first), index.update(second));
    first.and(second).unwrap();
    assert_eq!(apps(&index, "sql").await.len(), 5_000);
    index
        .update(vec![update("app-7", "sql", IndexChange::Gone)])
        .await
        .unwrap();
    assert_eq!(apps(&index, "sql").await.len(), 4_999);
    assert_eq!(index.shards().await.unwrap().len(), 1);
    let largest = walk(folder.path());
    assert!(largest < 500_000, "{largest} bytes in one object");
}

fn walk(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let size = |entry: std::fs::DirEntry| match entry.metadata().unwrap() {
        metadata if metadata.is_dir() => walk(&entry.path()),
        metadata => metadata.len(),
    };
    entries.map(size).max().unwrap_or_default()
}

#[tokio::test]
async fn concurrent_writers_lose_nothing() {
    let (_folder, index) = index();
    let one = [reference("SQL", false)];
    let writers = (0..8).map(|writer| {
        let (index, one) = (index.clone(), one.clone());
        async move {
            for number in 0..10 {
                let app = format!("app-{writer}-{number}");
                let found = update(&app, "sql", found(&one, true, at(1)));
                index.update(vec![found]).await.unwrap();
            }
        }
    });
    futures::future::join_all(writers).await;
    swept(&index, 1).await.unwrap();
    assert_eq!(apps(&index, "sql").await.len(), 80);
}

#[tokio::test]
async fn an_object_that_was_lost_is_made_again_by_a_whole_sweep_only() {
    let (folder, index) = index();
    let one = [reference("SQL", false)];
    let orders = || vec![update("orders", "sql", found(&one, true, at(1)))];
    index.update(orders()).await.unwrap();
    swept(&index, 1).await.unwrap();
    let shard = folder.path().join(&index.shards().await.unwrap()[0]);
    let damages = ["", "{", "{\"format\":2}", "{\"format\":1,\"secrets\":[]}"];
    for (damage, began) in damages.into_iter().zip(2..) {
        match damage {
            "" => std::fs::remove_file(&shard).unwrap(),
            damage => std::fs::write(&shard, damage).unwrap(),
        }
        check_unknown(&index, damage).await;
        // With these apps alone, it would pass for a whole one.
        index.update(orders()).await.unwrap();
        check_unknown(&index, damage).await;
        assert_eq!(std::fs::read_to_string(&shard).unwrap_or_default(), damage);
        assert_eq!(index.repair(at(began)).await.unwrap().len(), 1);
        // A sweep that begins with it once more knows that it makes it again.
        assert_eq!(index.repair(at(began)).await.unwrap().len(), 1);
        assert_eq!(index.repair(at(100)).await.unwrap().len(), 0);
        index.update(orders()).await.unwrap();
        check_unknown(&index, damage).await;
        swept(&index, began).await.unwrap();
        assert_eq!(apps(&index, "sql").await.len(), 1, "{damage}");
    }
    std::fs::write(folder.path().join(STATE), "{").unwrap();
    assert_eq!(index.state().await.unwrap(), None);
}

#[tokio::test]
async fn a_part_that_was_lost_is_made_again_by_a_whole_sweep_only() {
    let (folder, index) = index();
    let one = [reference("SQL", false)];
    let all = || -> Vec<IndexUpdate> {
        let numbers = 0..=MAX_APPS;
        numbers
            .map(|number| update(&format!("app-{number}"), "sql", found(&one, true, at(1))))
            .collect()
    };
    index.update(all()).await.unwrap();
    swept(&index, 1).await.unwrap();
    let shard = index.shards().await.unwrap().remove(0);
    let part = folder.path().join(part_key(&shard, "sql", 6, 3));
    std::fs::write(&part, "{").unwrap();
    index.update(all()).await.unwrap();
    check_unknown(&index, "a part").await;
    assert_eq!(index.repair(at(2)).await.unwrap().len(), 1);
    index.update(all()).await.unwrap();
    check_unknown(&index, "a part").await;
    swept(&index, 2).await.unwrap();
    assert_eq!(apps(&index, "sql").await.len(), MAX_APPS + 1);
}

#[tokio::test]
async fn a_version_that_is_announced_late_is_not_the_newest() {
    let (_folder, index) = index();
    let one = [reference("SQL", false)];
    let orders = update("orders", "sql", found(&one, true, at(1)));
    let version = |version: &str, second| NewestVersion {
        version: version.to_owned(),
        created: at(second),
        expires: None,
    };
    let tell = async |change| {
        let told = SecretUpdate {
            vault: orders.vault.clone(),
            secret: orders.secret.clone(),
            change,
        };
        index
            .update_with(vec![orders.clone()], vec![told])
            .await
            .unwrap();
        let shard = index.shards().await.unwrap().remove(0);
        let secret = index.secrets(&shard).await.unwrap().remove(0);
        secret.newest.unwrap().version
    };
    assert_eq!(tell(SecretChange::Announced(version("b", 5))).await, "b");
    assert_eq!(tell(SecretChange::Announced(version("a", 4))).await, "b");
    assert_eq!(tell(SecretChange::Announced(version("c", 6))).await, "c");
    // The vault decides: `c` was disabled.
    assert_eq!(tell(SecretChange::Newest(version("b", 5))).await, "b");
}

async fn check_unknown(index: &Index, damage: &str) {
    let found = users(index, "sql").await;
    assert!(matches!(found, Users::Unknown(_)), "{damage}: {found:?}");
}

#[tokio::test]
async fn an_object_that_is_lost_during_a_sweep_is_known_to_be_lost_after_it() {
    let (folder, index) = index();
    let one = [reference("SQL", false)];
    let orders = || vec![update("orders", "sql", found(&one, true, at(1)))];
    index.update(orders()).await.unwrap();
    swept(&index, 1).await.unwrap();
    assert_eq!(index.repair(at(2)).await.unwrap(), [""; 0]);
    let shard = index.shards().await.unwrap().remove(0);
    std::fs::remove_file(folder.path().join(shard)).unwrap();
    swept(&index, 2).await.unwrap();
    check_unknown(&index, "lost during a sweep").await;
    assert_eq!(index.repair(at(3)).await.unwrap().len(), 1);
    index.update(orders()).await.unwrap();
    swept(&index, 3).await.unwrap();
    assert_eq!(apps(&index, "sql").await.len(), 1);
}
