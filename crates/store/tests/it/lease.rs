//! One holder at a time.

use std::time::Duration;

use keyrelay_store::{Acquired, Lease, LeaseError, Store};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::backend::{Backend, on_both_backends};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    #[serde(default)]
    count: u32,
}

on_both_backends! {
    a_held_lease_cannot_be_acquired,
    the_next_holder_reads_the_document,
    an_expired_lease_can_be_acquired_and_is_lost_to_its_holder,
    renewing_restarts_the_duration,
    one_of_many_concurrent_attempts_succeeds,
    an_expiry_from_a_wrong_clock_is_ignored,
}

async fn acquire(
    store: &Store,
    name: &str,
    duration: Duration,
) -> Result<Lease<Document>, (String, Duration)> {
    match Lease::acquire(store, "leases/orders", name, duration)
        .await
        .unwrap()
    {
        Acquired::Held(lease) => Ok(*lease),
        Acquired::Busy { holder, remaining } => Err((holder, remaining)),
    }
}

async fn a_held_lease_cannot_be_acquired(backend: Backend) {
    let store = backend.store();
    let lease = acquire(&store, "one", LONG).await.unwrap();
    assert!(lease.remaining() <= LONG * 3 / 4);
    let (holder, remaining) = acquire(&store, "two", LONG).await.unwrap_err();
    assert_eq!(holder, "one");
    assert!(
        remaining > LONG * 3 / 4 && remaining <= LONG,
        "{remaining:?}"
    );
    // The holder itself cannot acquire it twice.
    assert_eq!(acquire(&store, "one", LONG).await.unwrap_err().0, "one");
}

async fn the_next_holder_reads_the_document(backend: Backend) {
    let store = backend.store();
    for count in 0..3 {
        let mut lease = acquire(&store, "one", LONG).await.unwrap();
        assert_eq!(lease.document.count, count);
        lease.document.count += 1;
        lease.release().await.unwrap();
    }
}

async fn an_expired_lease_can_be_acquired_and_is_lost_to_its_holder(backend: Backend) {
    let store = backend.store();
    let mut first = acquire(&store, "one", SHORT).await.unwrap();
    let second = loop {
        match acquire(&store, "two", LONG).await {
            Ok(lease) => break lease,
            Err((_, remaining)) => tokio::time::sleep(remaining).await,
        }
    };
    assert_eq!(first.remaining(), Duration::ZERO);
    assert!(matches!(first.renew().await, Err(LeaseError::Lost { by }) if by == "two"));
    assert!(matches!(
        first.release().await,
        Err(LeaseError::Lost { .. })
    ));
    second.release().await.unwrap();
}

async fn renewing_restarts_the_duration(backend: Backend) {
    let store = backend.store();
    let mut lease = acquire(&store, "one", SHORT).await.unwrap();
    tokio::time::sleep(SHORT).await;
    // No other holder has acquired it meanwhile.
    lease.document.count = 7;
    lease.renew().await.unwrap();
    assert!(lease.remaining() > Duration::ZERO);
    assert!(acquire(&store, "two", LONG).await.is_err());
    lease.release().await.unwrap();
    assert_eq!(
        acquire(&store, "two", LONG).await.unwrap().document.count,
        7
    );
}

async fn one_of_many_concurrent_attempts_succeeds(backend: Backend) {
    let asking = (0..20).map(|number| {
        let store = backend.store();
        async move { acquire(&store, &number.to_string(), LONG).await.is_ok() }
    });
    let got = futures::future::join_all(asking).await;
    assert_eq!(got.into_iter().filter(|got| *got).count(), 1);
}

async fn an_expiry_from_a_wrong_clock_is_ignored(backend: Backend) {
    let store = backend.store();
    let lease = json!({ "name": "old", "id": "00000000-0000-0000-0000-000000000001", "until": "2099-01-01T00:00:00Z" });
    store
        .write("leases/orders", &json!({ "lease": lease, "count": 7 }))
        .await
        .unwrap();
    let lease = acquire(&store, "new", LONG).await.unwrap();
    assert_eq!(lease.document.count, 7);
}
