//! The host's own HTTP listener.

use keyrelay_local_azure::functions_host::{FunctionsHost, HandlerStatus};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use url::Url;

use crate::handler_app::{AppFolder, client, event, eventually, start};

/// Posts to the webhook of a function as Event Grid does.
async fn post(endpoint: Url, event_type: &str, body: String) -> Response {
    client()
        .post(endpoint)
        .header("aeg-event-type", event_type)
        .body(body)
        .send()
        .await
        .unwrap()
}

async fn notify(host: &FunctionsHost, function: &str, events: &Value) -> u16 {
    post(
        host.event_grid_endpoint(function),
        "Notification",
        events.to_string(),
    )
    .await
    .status()
    .as_u16()
}

async fn run_manually(host: &FunctionsHost, function: &str, key: &str, body: &Value) -> u16 {
    let url = host
        .url()
        .join(&format!("admin/functions/{function}"))
        .unwrap();
    let request = client()
        .post(url)
        .header("x-functions-key", key)
        .body(body.to_string());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn each_event_is_an_invocation_of_its_own() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let status = notify(
        &host,
        "Event",
        &json!([event("echo"), event("echo"), event("echo")]),
    )
    .await;
    assert_eq!((status, host.invocations().len()), (202, 3));
    let ids: std::collections::BTreeSet<_> = host
        .invocations()
        .into_iter()
        .map(|invocation| invocation.id)
        .collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn the_events_of_a_batch_are_invoked_concurrently() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let events: Vec<Value> = (0..20).map(|_| event("meet 20")).collect();
    assert_eq!(notify(&host, "Event", &json!(events)).await, 202);
}

#[tokio::test]
async fn a_batch_is_one_invocation_if_the_cardinality_is_many() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let status = notify(&host, "Events", &json!([event("echo"), event("echo")])).await;
    assert_eq!((status, host.invocations().len()), (202, 1));
}

#[tokio::test]
async fn accepts_a_single_event_of_either_schema() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let cloud_event =
        json!({ "specversion": "1.0", "id": "c-1", "type": "T", "source": "/s", "data": {} });
    assert_eq!(notify(&host, "Event", &event("echo")).await, 202);
    assert_eq!(notify(&host, "Event", &cloud_event).await, 202);
    assert_eq!(host.invocations().len(), 2);
}

#[tokio::test]
async fn one_failure_fails_the_batch() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let status = notify(
        &host,
        "Event",
        &json!([event("echo"), event("status 404"), event("echo")]),
    )
    .await;
    assert_eq!((status, host.invocations().len()), (500, 3));
}

#[tokio::test]
async fn an_event_other_than_an_object_fails_the_batch() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    assert_eq!(
        notify(&host, "Event", &json!([event("echo"), 7])).await,
        500
    );
}

#[tokio::test]
async fn rejects_other_requests() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let endpoint = host.event_grid_endpoint("Event");
    for body in ["", "no JSON", "7", "null"] {
        assert_eq!(
            post(endpoint.clone(), "Notification", body.to_owned())
                .await
                .status(),
            400,
            "{body}"
        );
    }
    assert_eq!(
        post(endpoint, "Something", "[]".to_owned()).await.status(),
        400
    );
    assert!(host.invocations().is_empty());
}

#[tokio::test]
async fn rejects_an_unknown_function_and_a_wrong_key() {
    let app = AppFolder::new();
    let host = FunctionsHost::start(app.options()).await.unwrap();
    assert_eq!(notify(&host, "Other", &event("echo")).await, 404);
    assert_eq!(notify(&host, "Timer", &event("echo")).await, 404);
    let mut endpoint = host.event_grid_endpoint("Event");
    endpoint.set_query(Some("functionName=Event&code=wrong"));
    assert_eq!(
        post(endpoint.clone(), "Notification", "[]".to_owned())
            .await
            .status(),
        401
    );
    endpoint.set_query(Some("functionName=Event"));
    assert_eq!(
        post(endpoint, "Notification", "[]".to_owned())
            .await
            .status(),
        401
    );
}

#[tokio::test]
async fn responds_to_the_handshake_of_event_grid() {
    let app = AppFolder::new();
    let host = FunctionsHost::start(app.options()).await.unwrap();
    let in_array = json!([{ "id": "1", "data": { "validationCode": "the code" } }]);
    let twice_encoded = json!({ "id": "1", "data": r#"{"validationCode":"the code"}"# });
    // As in Microsoft's samples.
    let single_quoted = "[{'id': '1', 'topic': '/subscriptions/s', 'subject': '', \
        'data': {'validationCode': 'the code'}, \
        'eventType': 'Microsoft.EventGrid.SubscriptionValidationEvent'}]";
    for body in [
        in_array.to_string(),
        twice_encoded.to_string(),
        single_quoted.to_owned(),
    ] {
        let response = post(
            host.event_grid_endpoint("Event"),
            "SubscriptionValidation",
            body,
        )
        .await;
        assert_eq!(response.status(), 200);
        assert_eq!(
            response.json::<Value>().await.unwrap(),
            json!({ "validationResponse": "the code" })
        );
    }
}

#[tokio::test]
async fn responds_to_the_handshake_of_cloud_events() {
    let app = AppFolder::new();
    let host = FunctionsHost::start(app.options()).await.unwrap();
    let request = client().request(Method::OPTIONS, host.event_grid_endpoint("Event"));
    let response = request
        .header("WebHook-Request-Origin", "eventgrid.azure.net")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["webhook-allowed-origin"],
        "eventgrid.azure.net"
    );
}

#[tokio::test]
async fn a_stopped_host_is_not_available() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    host.stop().await;
    assert_eq!(notify(&host, "Event", &event("echo")).await, 503);
}

#[tokio::test]
async fn functions_can_be_run_manually() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let key = host.master_key().to_owned();
    assert_eq!(
        run_manually(&host, "Timer", &key, &json!({ "input": "" })).await,
        202
    );
    assert_eq!(
        run_manually(&host, "Event", &key, &json!({ "input": event("echo") })).await,
        202
    );
    assert_eq!(
        run_manually(
            &host,
            "Event",
            &key,
            &json!({ "input": event("echo").to_string() })
        )
        .await,
        202
    );
    let runs = eventually("three invocations", || {
        Some(host.invocations()).filter(|it| it.len() == 3)
    })
    .await;
    assert!(runs.iter().all(|run| run.outcome.is_ok()), "{runs:?}");
}

#[tokio::test]
async fn a_manual_run_needs_the_key_and_a_function() {
    let app = AppFolder::new();
    let host = FunctionsHost::start(app.options()).await.unwrap();
    assert_eq!(
        run_manually(&host, "Timer", "wrong", &json!({ "input": "" })).await,
        401
    );
    assert_eq!(
        run_manually(&host, "Other", host.master_key(), &json!({ "input": "" })).await,
        404
    );
    assert_eq!(
        run_manually(&host, "Timer", host.master_key(), &json!("text")).await,
        400
    );
}

#[tokio::test]
async fn reports_its_status() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let url = host.url().join("admin/host/status").unwrap();
    let status = async || {
        client()
            .get(url.clone())
            .send()
            .await
            .unwrap()
            .json::<Value>()
            .await
            .unwrap()
    };
    assert_eq!(status().await["state"], "Running");
    host.stop().await;
    assert!(matches!(host.status(), HandlerStatus::Stopped(_)));
    assert_eq!(status().await["state"], "Error");
}

#[tokio::test]
async fn an_http_function_gets_the_request_and_creates_the_response() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let url = host.url().join("api/things/hammer?size=9").unwrap();
    let response = client()
        .post(url.clone())
        .header("x-my", "header")
        .body("the body")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["x-made-by"], "handler");
    let received = response.json::<Value>().await.unwrap();
    assert_eq!(received["path"], "/Http");
    let request = &received["body"]["Data"]["req"];
    assert_eq!(request["Url"], json!(url));
    assert_eq!(request["Method"], "POST");
    assert_eq!(request["Query"], r#"{"size":"9"}"#);
    assert_eq!(request["Params"], json!({ "name": "hammer" }));
    assert_eq!(request["Headers"]["x-my"], json!(["header"]));
    assert_eq!(request["Body"], "the body");
}

#[tokio::test]
async fn an_http_function_has_a_route_and_methods() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let status = async |method: Method, path: &str| {
        client()
            .request(method, host.url().join(path).unwrap())
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(status(Method::GET, "api/things/hammer").await, 201);
    assert_eq!(status(Method::DELETE, "api/things/hammer").await, 404);
    assert_eq!(status(Method::GET, "api/things").await, 404);
    assert_eq!(status(Method::GET, "api/things/hammer/handle").await, 404);
    assert_eq!(status(Method::GET, "things/hammer").await, 404);
}

#[tokio::test]
async fn an_http_function_can_need_a_key() {
    let app = AppFolder::new();
    let request =
        json!({ "type": "httpTrigger", "name": "req", "direction": "in", "authLevel": "function" });
    let response = json!({ "type": "http", "name": "$return", "direction": "out" });
    app.write(
        "Http/function.json",
        &json!({ "bindings": [request, response] }),
    );
    let host = start(app.options()).await;
    let mut url = host.url().join("api/http").unwrap();
    assert_eq!(
        client().get(url.clone()).send().await.unwrap().status(),
        401
    );
    url.query_pairs_mut().append_pair("code", host.master_key());
    assert_eq!(client().get(url).send().await.unwrap().status(), 200);
}
