//! Failures that only a container has: denied access, errors and outages.

use keyrelay_local_azure::{Effect, Fault, Service};
use keyrelay_store::StoreError;

use crate::backend::Backend;

fn fault(effect: Effect) -> Fault {
    Fault::new(Service::Storage, effect)
}

#[tokio::test]
async fn a_transient_failure_is_retried_within_the_operation() {
    let Some(backend) = Backend::container().await else {
        return;
    };
    let store = backend.store();
    let effects = [
        Effect::status(503, "ServerBusy"),
        Effect::status(500, "InternalError"),
        Effect::Cut,
    ];
    for (number, effect) in effects.into_iter().enumerate() {
        backend.cloud().0.switch_on(fault(effect).times(2));
        store.write("a", &number).await.unwrap();
        assert_eq!(
            store.read_json::<usize>("a").await.unwrap().unwrap().0,
            number
        );
    }
}

#[tokio::test]
async fn a_write_whose_response_was_lost_conflicts_with_itself() {
    let Some(backend) = Backend::container().await else {
        return;
    };
    let store = backend.store();
    let version = store.create("a", &1).await.unwrap();
    backend
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
    let Some(backend) = Backend::container().await else {
        return;
    };
    backend.cloud().0.switch_on(fault(Effect::status(
        403,
        "AuthorizationPermissionMismatch",
    )));
    let error = backend.store().write("a", &1).await.unwrap_err();
    assert!(
        error.to_string().contains("Storage Blob Data Contributor"),
        "{error}"
    );
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced() {
    let Some(backend) = Backend::container().await else {
        return;
    };
    let store = backend.store();
    store.write("a", &1).await.unwrap();
    backend.cloud().0.revoke_tokens();
    store.write("a", &2).await.unwrap();
}

#[tokio::test]
async fn a_missing_container_is_not_an_empty_one() {
    let Some(backend) = Backend::container().await else {
        return;
    };
    backend
        .cloud()
        .0
        .switch_on(fault(Effect::status(404, "ContainerNotFound")));
    assert!(matches!(
        backend.store().read("a").await,
        Err(StoreError::Unavailable { .. })
    ));
}

#[tokio::test]
async fn written_objects_survive_an_outage() {
    let Some(backend) = Backend::container().await else {
        return;
    };
    let (store, (_, azurite)) = (backend.store(), backend.cloud());
    store.write("a", &1).await.unwrap();
    azurite.stop().await;
    assert!(matches!(
        store.write("a", &2).await,
        Err(StoreError::Unavailable { .. })
    ));
    azurite.start_again().await.unwrap();
    assert_eq!(store.read_json::<u32>("a").await.unwrap().unwrap().0, 1);
}
