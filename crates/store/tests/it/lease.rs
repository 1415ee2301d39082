//! One holder at a time.

use std::time::Duration;

use keyrelay_store::{Acquired, Lease, LeaseError, Store};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::place::{Place, in_both_places};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    #[serde(default)]
    count: u32,
}

in_both_places! {
    a_held_lease_is_nobody_elses,
    what_the_holder_wrote_is_there_for_the_next,
    after_its_time_a_lease_is_anybodys_and_the_former_holder_learns_it,
    renewing_begins_the_time_anew,
    of_many_who_ask_at_once_one_gets_it,
    an_end_that_a_wrong_clock_wrote_keeps_nobody_out,
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

async fn a_held_lease_is_nobody_elses(place: Place) {
    let store = place.store();
    let lease = acquire(&store, "one", LONG).await.unwrap();
    assert!(lease.remaining() <= LONG * 3 / 4);
    let (holder, remaining) = acquire(&store, "two", LONG).await.unwrap_err();
    assert_eq!(holder, "one");
    assert!(
        remaining > LONG * 3 / 4 && remaining <= LONG,
        "{remaining:?}"
    );
    // Not even the holder's own second one.
    assert_eq!(acquire(&store, "one", LONG).await.unwrap_err().0, "one");
}

async fn what_the_holder_wrote_is_there_for_the_next(place: Place) {
    let store = place.store();
    for count in 0..3 {
        let mut lease = acquire(&store, "one", LONG).await.unwrap();
        assert_eq!(lease.document.count, count);
        lease.document.count += 1;
        lease.release().await.unwrap();
    }
}

async fn after_its_time_a_lease_is_anybodys_and_the_former_holder_learns_it(place: Place) {
    let store = place.store();
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

async fn renewing_begins_the_time_anew(place: Place) {
    let store = place.store();
    let mut lease = acquire(&store, "one", SHORT).await.unwrap();
    tokio::time::sleep(SHORT).await;
    // Nobody has taken it meanwhile.
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

async fn of_many_who_ask_at_once_one_gets_it(place: Place) {
    let asking = (0..20).map(|number| {
        let store = place.store();
        async move { acquire(&store, &number.to_string(), LONG).await.is_ok() }
    });
    let got = futures::future::join_all(asking).await;
    assert_eq!(got.into_iter().filter(|got| *got).count(), 1);
}

async fn an_end_that_a_wrong_clock_wrote_keeps_nobody_out(place: Place) {
    let store = place.store();
    let lease = json!({ "name": "old", "id": "00000000-0000-0000-0000-000000000001", "until": "2099-01-01T00:00:00Z" });
    store
        .write("leases/orders", &json!({ "lease": lease, "count": 7 }))
        .await
        .unwrap();
    let lease = acquire(&store, "new", LONG).await.unwrap();
    assert_eq!(lease.document.count, 7);
}
