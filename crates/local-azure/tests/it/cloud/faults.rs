use std::time::Duration;

use keyrelay_local_azure::{CloudOptions, Effect, ErrorShape, Fault, Service};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ORDERS, SUBSCRIPTION, Stand};

fn on_writes(effect: Effect) -> Fault {
    Fault::new(Service::ResourceManager, effect)
        .method("put")
        .path("Config/AppSettings")
}

async fn put(stand: &Stand, value: &str) -> reqwest::Result<super::TestResponse> {
    let body = json!({ "properties": { "PLAIN": value } });
    stand
        .try_manage(
            Method::PUT,
            &format!("{ORDERS}/config/appsettings"),
            Some(body),
        )
        .await
}

fn plain(stand: &Stand) -> String {
    stand.cloud.settings("orders").unwrap()["PLAIN"]
        .expose()
        .to_owned()
}

/// Waits for an effect while a request has no response.
async fn until_while<T>(
    request: &mut (impl Future<Output = T> + Unpin),
    what: &str,
    mut holds: impl FnMut() -> bool,
) {
    let seen = super::until(what, async || holds());
    tokio::select! {
        _ = request => panic!("it got a response"),
        () = seen => {}
    }
}

#[tokio::test]
async fn a_status_is_limited_and_has_its_body_and_header() {
    let stand = Stand::start().await;
    let effect = Effect::Status {
        status: 429,
        code: "Busy".into(),
        shape: ErrorShape::Unwrapped,
        retry_after: Some(7),
    };
    stand.cloud.switch_on(on_writes(effect).times(2));
    for _ in 0..2 {
        let response = put(&stand, "new").await.unwrap();
        assert_eq!(
            (
                response.status,
                &response.body["Code"],
                response.header("retry-after")
            ),
            (429, &"Busy".into(), "7")
        );
    }
    assert_eq!(plain(&stand), "text");
    assert_eq!(put(&stand, "new").await.unwrap().status, 200);
    assert!(stand.cloud.faults().is_empty());
}

#[tokio::test]
async fn a_fault_applies_to_matching_requests_only() {
    let stand = Stand::start().await;
    stand
        .cloud
        .switch_on(on_writes(Effect::status(503, "ServiceUnavailable")));
    assert_eq!(stand.get(ORDERS).await.status, 200);
    assert_eq!(stand.vault(Method::GET, "/secrets", None).await.status, 200);
    assert_eq!(
        put(&stand, "new").await.unwrap().code(),
        "ServiceUnavailable"
    );
    stand.cloud.switch_off_faults();
    assert_eq!(put(&stand, "new").await.unwrap().status, 200);
}

#[tokio::test]
async fn faults_apply_to_the_other_services_too() {
    let stand = Stand::start().await;
    stand.cloud.switch_on(
        Fault::new(
            Service::KeyVault,
            Effect::status(500, "InternalServerError"),
        )
        .times(1),
    );
    assert_eq!(
        stand.vault(Method::GET, "/secrets", None).await.code(),
        "InternalServerError"
    );
    stand
        .cloud
        .switch_on(Fault::new(Service::Identity, Effect::status(503, "Busy")).times(1));
    let query = [
        ("resource", super::KEY_VAULT),
        ("api-version", "2019-08-01"),
    ];
    assert_eq!(stand.ask_for_token(None, &query).await.status, 503);
}

#[tokio::test]
async fn a_cut_connection_does_not_revert_the_write() {
    let stand = Stand::start().await;
    stand.cloud.switch_on(on_writes(Effect::Cut).times(1));
    assert!(put(&stand, "new").await.unwrap_err().is_request());
    assert_eq!(plain(&stand), "new");
    assert_eq!(stand.cloud.requests().last().unwrap().status, None);
}

#[tokio::test]
async fn half_a_response_begins_normally() {
    let stand = Stand::start().await;
    stand.cloud.switch_on(
        Fault::new(Service::ResourceManager, Effect::HalfResponse)
            .path("/sites/orders")
            .times(1),
    );
    let token = stand.token(None, super::RESOURCE_MANAGER).await;
    let url = stand
        .cloud
        .resource_manager_url()
        .join(&format!("{ORDERS}?api-version=2025-05-01"))
        .unwrap();
    let mut response = stand.http.get(url).bearer_auth(token).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let announced = response.content_length().unwrap();
    let mut received = 0;
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => received += chunk.len() as u64,
            Ok(None) => panic!("the response was complete"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(received, announced / 2);
}

#[tokio::test]
async fn a_hanging_request_is_not_executed() {
    let stand = Stand::start().await;
    stand.cloud.switch_on(on_writes(Effect::Hang).times(1));
    let write = put(&stand, "new");
    tokio::pin!(write);
    until_while(&mut write, "it has arrived", || {
        stand.cloud.faults().is_empty()
    })
    .await;
    assert!(
        tokio::time::timeout(Duration::from_millis(100), write)
            .await
            .is_err()
    );
    assert_eq!(plain(&stand), "text");
    let hanging = stand
        .cloud
        .requests()
        .into_iter()
        .find(|request| request.method == "PUT")
        .unwrap();
    assert_eq!(
        (hanging.status, hanging.caller.as_deref()),
        (None, Some("outsider"))
    );
}

#[tokio::test]
async fn a_service_can_be_unreachable_without_a_token() {
    let stand = Stand::start().await;
    let services = [
        (Service::KeyVault, stand.cloud.key_vault_url()),
        (Service::ResourceManager, stand.cloud.resource_manager_url()),
        (Service::Identity, stand.cloud.identity_url()),
    ];
    for (service, url) in services {
        stand
            .cloud
            .switch_on(Fault::new(service, Effect::Hang).times(1));
        let unanswered = stand.http.get(url.clone()).send();
        tokio::pin!(unanswered);
        until_while(&mut unanswered, "it has arrived", || {
            stand.cloud.faults().is_empty()
        })
        .await;
        let waited = tokio::time::timeout(Duration::from_millis(100), unanswered).await;
        assert!(waited.is_err(), "{service:?}");
        assert_ne!(
            stand.http.get(url.clone()).send().await.unwrap().status(),
            200
        );
    }
}

#[tokio::test]
async fn a_partial_list_looks_complete() {
    let stand = Stand::start_with(CloudOptions {
        page_size: 2,
        ..super::ideal()
    })
    .await;
    let effect: Effect =
        serde_json::from_value(json!({ "kind": "partial-list", "keep": 1 })).unwrap();
    let fault = Fault::new(Service::ResourceManager, effect.clone()).times(1);
    stand.cloud.switch_on(fault);
    let sites = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Web/sites");
    stand.get(ORDERS).await;
    let partial = stand.get(&sites).await;
    assert_eq!(
        (partial.status, partial.names(), &partial.body["nextLink"]),
        (200, vec!["legacy"], &Value::Null)
    );
    let complete = stand.get(&sites).await;
    assert_eq!(complete.names(), ["legacy", "orders"]);
    assert!(complete.body["nextLink"].is_string());

    stand.cloud.set_secret("contoso-kv", "other", "x").unwrap();
    stand.cloud.switch_on(Fault::new(Service::KeyVault, effect));
    let secrets = stand.vault(Method::GET, "/secrets", None).await;
    assert_eq!(secrets.body["value"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_delayed_request_is_executed_immediately() {
    let stand = Stand::start().await;
    stand.cloud.switch_on(
        on_writes(Effect::Delay {
            milliseconds: 3_600_000,
        })
        .times(1),
    );
    let write = put(&stand, "new");
    tokio::pin!(write);
    until_while(&mut write, "it is carried out", || plain(&stand) == "new").await;
}

#[tokio::test]
async fn a_lost_write_looks_successful() {
    let stand = Stand::start().await;
    stand
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, Effect::LoseWrite).times(1));
    stand.get(ORDERS).await;
    let response = put(&stand, "new").await.unwrap();
    assert_eq!(
        (response.status, &response.body["properties"]["PLAIN"]),
        (200, &"new".into())
    );
    assert_eq!(plain(&stand), "text");
    put(&stand, "new").await.unwrap();
    assert_eq!(plain(&stand), "new");
}

#[tokio::test]
async fn another_writer_interferes_right_after_the_list() {
    let stand = Stand::start().await;
    let effect = Effect::Interfere {
        setting: "PLAIN".into(),
        value: "theirs".into(),
    };
    stand
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, effect).times(1));
    let path = format!("{ORDERS}/config/appsettings/list");
    let listed = stand.manage(Method::POST, &path, None).await;
    assert_eq!(listed.body["properties"]["PLAIN"], "text");
    let again = stand.manage(Method::POST, &path, None).await;
    assert_eq!(again.body["properties"]["PLAIN"], "theirs");
}

#[tokio::test]
async fn no_fault_applies_without_a_token() {
    let stand = Stand::start().await;
    stand
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, Effect::status(500, "X")).times(1));
    let url = stand
        .cloud
        .resource_manager_url()
        .join(&format!("{ORDERS}?api-version=2025-05-01"))
        .unwrap();
    assert_eq!(stand.send(stand.http.get(url)).await.unwrap().status, 401);
    assert_eq!(stand.cloud.faults().len(), 1);
}
