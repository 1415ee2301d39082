//! One holder at a time.

use std::time::Duration;

use keyrelay_store::{Acquired, Lease, LeaseError, Store};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(100);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    #[serde(default)]
    count: u32,
}

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path()).unwrap();
    (folder, store)
}

async fn acquire(store: &Store, name: &str, duration: Duration) -> Result<Lease<Document>, (String, Duration)> {
    match Lease::acquire(store, "leases/orders", name, duration).await.unwrap() {
        Acquired::Held(lease) => Ok(*lease),
        Acquired::Busy { holder, remaining } => Err((holder, remaining)),
    }
}

#[tokio::test]
async fn a_held_lease_is_nobody_elses() {
    let (_folder, store) = store();
    let lease = acquire(&store, "one", LONG).await.unwrap();
    assert!(lease.remaining() <= LONG * 3 / 4);
    let (holder, remaining) = acquire(&store, "two", LONG).await.unwrap_err();
    assert_eq!(holder, "one");
    assert!(remaining > LONG * 3 / 4 && remaining <= LONG, "{remaining:?}");
    // Not even the holder's own second one.
    assert_eq!(acquire(&store, "one", LONG).await.unwrap_err().0, "one");
}

#[tokio::test]
async fn what_the_holder_wrote_is_there_for_the_next() {
    let (_folder, store) = store();
    for count in 0..3 {
        let mut lease = acquire(&store, "one", LONG).await.unwrap();
        assert_eq!(lease.document.count, count);
        lease.document.count += 1;
        lease.release().await.unwrap();
    }
}

#[tokio::test]
async fn after_its_time_a_lease_is_anybodys_and_the_former_holder_learns_it() {
    let (_folder, store) = store();
    let mut first = acquire(&store, "one", SHORT).await.unwrap();
    let second = loop {
        match acquire(&store, "two", LONG).await {
            Ok(lease) => break lease,
            Err((_, remaining)) => tokio::time::sleep(remaining).await,
        }
    };
    assert_eq!(first.remaining(), Duration::ZERO);
    assert!(matches!(first.renew().await, Err(LeaseError::Lost { by }) if by == "two"));
    assert!(matches!(first.release().await, Err(LeaseError::Lost { .. })));
    second.release().await.unwrap();
}

#[tokio::test]
async fn renewing_begins_the_time_anew() {
    let (_folder, store) = store();
    let mut lease = acquire(&store, "one", SHORT).await.unwrap();
    tokio::time::sleep(SHORT).await;
    // Nobody has taken it meanwhile.
    lease.document.count = 7;
    lease.renew().await.unwrap();
    assert!(lease.remaining() > Duration::ZERO);
    assert!(acquire(&store, "two", LONG).await.is_err());
    lease.release().await.unwrap();
    assert_eq!(acquire(&store, "two", LONG).await.unwrap().document.count, 7);
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_gets_it() {
    let (folder, _) = store();
    let asking = (0..20).map(|number| {
        let store = Store::folder(folder.path()).unwrap();
        async move { acquire(&store, &number.to_string(), LONG).await.is_ok() }
    });
    let got = futures::future::join_all(asking).await;
    assert_eq!(got.into_iter().filter(|got| *got).count(), 1);
}
