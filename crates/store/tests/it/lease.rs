//! One holder at a time.

use std::time::Duration;

use keyrelay_store::{Acquired, Lease, LeaseError, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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
    a_lease_that_is_left_to_expire_stays_held,
    a_lease_that_is_left_to_expire_expires_with_its_document,
    one_of_many_concurrent_attempts_succeeds,
    the_clock_of_the_holder_does_not_matter,
    a_renewal_is_seen_by_those_who_wait,
    a_release_that_meets_an_own_late_renewal_is_repeated,
    a_renewal_that_meets_an_own_late_one_is_repeated,
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

async fn a_lease_that_is_left_to_expire_stays_held(backend: Backend) {
    let store = backend.store();
    let mut lease = acquire(&store, "one", LONG).await.unwrap();
    lease.leave_to_expire();
    lease.release().await.unwrap();
    let (holder, remaining) = acquire(&store, "two", LONG).await.unwrap_err();
    assert!(
        holder == "one" && remaining > LONG * 3 / 4,
        "{holder} {remaining:?}"
    );
}

async fn a_lease_that_is_left_to_expire_expires_with_its_document(backend: Backend) {
    let store = backend.store();
    let mut lease = acquire(&store, "one", SHORT).await.unwrap();
    lease.document.count = 7;
    lease.leave_to_expire();
    lease.release().await.unwrap();
    let next = loop {
        match acquire(&store, "two", LONG).await {
            Ok(lease) => break lease,
            Err((_, remaining)) => tokio::time::sleep(remaining).await,
        }
    };
    assert_eq!(next.document.count, 7);
}

async fn one_of_many_concurrent_attempts_succeeds(backend: Backend) {
    let asking = (0..20).map(|number| {
        let store = backend.store();
        async move { acquire(&store, &number.to_string(), LONG).await.is_ok() }
    });
    let got = futures::future::join_all(asking).await;
    assert_eq!(got.into_iter().filter(|got| *got).count(), 1);
}

/// Writes a lease as an instance whose clock says that it ends at `until`.
async fn write_lease(store: &Store, until: &str, duration: Option<Duration>) {
    let mut lease =
        json!({ "name": "old", "id": "00000000-0000-0000-0000-000000000001", "until": until });
    if let Some(duration) = duration {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap();
        let fields = lease.as_object_mut().unwrap();
        fields.insert("duration_ms".to_owned(), milliseconds.into());
    }
    let object = json!({ "lease": lease, "count": 7 });
    store.write("leases/orders", &object).await.unwrap();
}

async fn the_clock_of_the_holder_does_not_matter(backend: Backend) {
    let store = backend.store();
    for until in ["2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
        // Earlier versions did not write the duration.
        for duration in [Some(LONG), None] {
            write_lease(&store, until, duration).await;
            let (holder, remaining) = acquire(&store, "new", LONG).await.unwrap_err();
            assert_eq!((holder.as_str(), remaining), ("old", LONG), "{until}");
        }
        write_lease(&store, until, Some(SHORT)).await;
        assert!(acquire(&store, "new", LONG).await.is_err());
        tokio::time::sleep(SHORT).await;
        let lease = acquire(&store, "new", LONG).await.unwrap();
        assert_eq!(lease.document.count, 7);
        lease.release().await.unwrap();
    }
}

async fn a_renewal_is_seen_by_those_who_wait(backend: Backend) {
    let store = backend.store();
    let mut lease = acquire(&store, "one", SHORT).await.unwrap();
    assert!(acquire(&store, "two", LONG).await.is_err());
    tokio::time::sleep(SHORT).await;
    lease.renew().await.unwrap();
    let (_, remaining) = acquire(&store, "two", LONG).await.unwrap_err();
    assert_eq!(remaining, SHORT);
}

async fn a_release_that_meets_an_own_late_renewal_is_repeated(backend: Backend) {
    let store = backend.store();
    let mut lease = acquire(&store, "one", LONG).await.unwrap();
    // A renewal whose response was lost, and which arrives after the next request.
    let found = store.read_json::<Value>("leases/orders").await.unwrap();
    let (late, _) = found.unwrap();
    lease.document.count = 3;
    store.write("leases/orders", &late).await.unwrap();
    lease.release().await.unwrap();
    let next = acquire(&store, "two", LONG).await.unwrap();
    assert_eq!(next.document.count, 3);
}

async fn a_renewal_that_meets_an_own_late_one_is_repeated(backend: Backend) {
    let store = backend.store();
    let mut lease = acquire(&store, "one", LONG).await.unwrap();
    let found = store.read_json::<Value>("leases/orders").await.unwrap();
    let (late, _) = found.unwrap();
    lease.document.count = 3;
    store.write("leases/orders", &late).await.unwrap();
    lease.renew().await.unwrap();
    let (now, _) = store
        .read_json::<Document>("leases/orders")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(now.count, 3);
}
