//! What only a container can do: refuse, fail, and be away.

use keyrelay_local_azure::{Effect, Fault, Service};
use keyrelay_store::StoreError;

use crate::place::Place;

fn fault(effect: Effect) -> Fault {
    Fault::new(Service::Storage, effect)
}

#[tokio::test]
async fn a_moments_trouble_is_over_within_the_operation() {
    let Some(place) = Place::container().await else {
        return;
    };
    let store = place.store();
    let troubles = [
        Effect::status(503, "ServerBusy"),
        Effect::status(500, "InternalError"),
        Effect::Cut,
    ];
    for (number, effect) in troubles.into_iter().enumerate() {
        place.cloud().0.switch_on(fault(effect).times(2));
        store.write("a", &number).await.unwrap();
        assert_eq!(
            store.read_json::<usize>("a").await.unwrap().unwrap().0,
            number
        );
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_a_conflict_with_itself() {
    let Some(place) = Place::container().await else {
        return;
    };
    let store = place.store();
    let version = store.create("a", &1).await.unwrap();
    place
        .cloud()
        .0
        .switch_on(fault(Effect::Cut).method("PUT").times(1));
    let replaced = store.replace("a", &2, &version).await;
    assert!(
        replaced
            .as_ref()
            .map_or_else(StoreError::is_conflict, |_| true),
        "{replaced:?}"
    );
    assert_eq!(store.read_json::<u32>("a").await.unwrap().unwrap().0, 2);
}

#[tokio::test]
async fn a_refusal_names_the_role() {
    let Some(place) = Place::container().await else {
        return;
    };
    place.cloud().0.switch_on(fault(Effect::status(
        403,
        "AuthorizationPermissionMismatch",
    )));
    let error = place.store().write("a", &1).await.unwrap_err();
    assert!(
        error.to_string().contains("Storage Blob Data Contributor"),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced() {
    let Some(place) = Place::container().await else {
        return;
    };
    let store = place.store();
    store.write("a", &1).await.unwrap();
    place.cloud().0.revoke_tokens();
    store.write("a", &2).await.unwrap();
}

#[tokio::test]
async fn a_container_that_is_not_there_is_not_an_empty_one() {
    let Some(place) = Place::container().await else {
        return;
    };
    place
        .cloud()
        .0
        .switch_on(fault(Effect::status(404, "ContainerNotFound")));
    assert!(matches!(
        place.store().read("a").await,
        Err(StoreError::OutOfReach { .. })
    ));
}

#[tokio::test]
async fn what_was_written_is_there_after_an_outage() {
    let Some(place) = Place::container().await else {
        return;
    };
    let (store, (_, azurite)) = (place.store(), place.cloud());
    store.write("a", &1).await.unwrap();
    azurite.stop().await;
    assert!(matches!(
        store.write("a", &2).await,
        Err(StoreError::OutOfReach { .. })
    ));
    azurite.start_again().await.unwrap();
    assert_eq!(store.read_json::<u32>("a").await.unwrap().unwrap().0, 1);
}
