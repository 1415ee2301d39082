//! Retries.

use std::time::Duration;

use keyrelay_azure::{Failure, RequestLimits};
use keyrelay_model::{AppId, Retryability};
use serde_json::json;

use crate::fake::{Fake, Reply, again, call, orders, respond, within};

fn empty() -> Reply {
    respond(200, json!({ "properties": {} }))
}

/// Plays the replies to a read that must succeed after `requests` requests.
async fn check_recovers(replies: Vec<Reply>, requests: usize) {
    let fake = Fake::start(replies).await;
    let call = call();
    fake.resource_manager()
        .settings(&orders(), &call)
        .await
        .unwrap();
    assert_eq!(fake.seen().len(), requests);
    assert_eq!(call.log.records()[0].attempts as usize, requests);
}

/// Plays a reply to a read that must fail at once.
async fn check_fails(reply: Reply, retryability: Retryability) {
    let fake = Fake::start([reply, empty()]).await;
    let error = fake
        .resource_manager()
        .settings(&orders(), &call())
        .await
        .unwrap_err();
    assert_eq!(
        (error.retryability(), fake.seen().len()),
        (retryability, 1),
        "{error:?}"
    );
}

#[tokio::test]
async fn momentary_statuses_are_retried() {
    check_recovers(
        vec![
            again(429),
            again(500),
            again(502),
            again(503),
            again(504),
            again(408),
            empty(),
        ],
        7,
    )
    .await;
}

#[tokio::test]
async fn a_retry_after_may_be_a_date() {
    let now = "Sun, 06 Nov 1994 08:49:37 GMT";
    let reply = respond(503, json!({}))
        .with("retry-after", now)
        .with("date", now);
    check_recovers(vec![reply, empty()], 2).await;
}

#[tokio::test]
async fn an_incomplete_response_is_retried() {
    check_recovers(vec![Reply::HalfSent(200), empty()], 2).await;
}

#[tokio::test]
async fn a_dropped_connection_is_retried() {
    let fake = Fake::cutting(2, [empty()]).await;
    let call = call();
    fake.resource_manager()
        .settings(&orders(), &call)
        .await
        .unwrap();
    assert_eq!((fake.seen().len(), call.log.records()[0].attempts), (1, 3));
}

#[tokio::test]
async fn an_attempt_that_hangs_leaves_time_for_another() {
    let fake = Fake::start([Reply::Never, empty(), empty(), empty()]).await;
    let manager = fake.resource_manager_with(RequestLimits {
        attempt: Duration::from_millis(100),
        ..RequestLimits::default()
    });
    manager.settings(&orders(), &call()).await.unwrap();
    assert!(fake.seen().len() >= 2);
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once() {
    let fake = Fake::start([respond(401, json!({})), empty(), empty()]).await;
    let manager = fake.resource_manager();
    manager.settings(&orders(), &call()).await.unwrap();
    manager.settings(&orders(), &call()).await.unwrap();
    let tokens: Vec<_> = fake
        .seen()
        .iter()
        .map(|seen| seen.headers["authorization"].clone())
        .collect();
    assert_eq!(
        tokens,
        ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
    );
}

#[tokio::test]
async fn a_second_rejection_of_a_token_is_permanent() {
    let fake = Fake::start([respond(401, json!({})), respond(401, json!({})), empty()]).await;
    let error = fake
        .resource_manager()
        .settings(&orders(), &call())
        .await
        .unwrap_err();
    assert_eq!(
        (error.retryability(), fake.seen().len()),
        (Retryability::Permanent, 2)
    );
}

#[tokio::test]
async fn other_statuses_are_not_retried() {
    for status in [400, 403, 404, 410, 412] {
        check_fails(respond(status, json!({})), Retryability::Permanent).await;
    }
    for status in [409, 501] {
        check_fails(respond(status, json!({})), Retryability::Transient).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    check_fails(
        respond(307, json!({})).with("location", "/elsewhere"),
        Retryability::Permanent,
    )
    .await;
}

#[tokio::test]
async fn a_retry_after_beyond_the_deadline_is_not_waited_for() {
    let fake = Fake::start([respond(429, json!({})).with("retry-after", "60"), empty()]).await;
    let error = fake
        .resource_manager()
        .settings(&orders(), &call())
        .await
        .unwrap_err();
    assert_eq!(
        (error.retryability(), fake.seen().len()),
        (Retryability::Transient, 1)
    );
    assert_eq!(
        error.response().unwrap().retry_after,
        Some(Duration::from_secs(60))
    );
}

#[tokio::test]
async fn attempts_are_limited() {
    let fake = Fake::start(vec![again(503); 20]).await;
    let error = fake
        .resource_manager()
        .settings(&orders(), &call())
        .await
        .unwrap_err();
    assert_eq!(
        (error.retryability(), fake.seen().len()),
        (Retryability::Transient, 8)
    );
}

#[tokio::test]
async fn a_refused_connection_is_transient() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fake = Fake::start([]).await;
    let mut cloud = fake.cloud();
    cloud.resource_manager = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let http = keyrelay_azure::Http::new().unwrap();
    let manager =
        keyrelay_azure::ResourceManager::new(&cloud, crate::fake::credential(), http).unwrap();
    let error = manager
        .settings(&orders(), &within(Duration::from_millis(200)))
        .await
        .unwrap_err();
    assert!(matches!(error.failure, Failure::NotSent(_)), "{error:?}");
    assert_eq!(error.retryability(), Retryability::Transient);
}

#[tokio::test]
async fn the_deadline_does_not_hide_an_earlier_failure() {
    let fake = Fake::start([again(503), Reply::Never]).await;
    let error = fake
        .resource_manager()
        .settings(&orders(), &within(Duration::from_millis(400)))
        .await
        .unwrap_err();
    assert_eq!(
        error.response().map(|response| response.status),
        Some(503),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_change_is_not_sent_without_time_for_its_response() {
    let fake = Fake::start([empty()]).await;
    let azure = fake.resource_manager();
    let call = within(Duration::from_millis(400));
    let refreshed = azure.refresh_references(&orders(), &call).await;
    let error = refreshed.unwrap_err();
    assert!(
        error.is_deadline_exceeded() && !error.may_have_been_written(),
        "{error:?}"
    );
    assert_eq!(fake.seen().len(), 0);
}

/// Checks whether a second call, of this subscription, waits while the first meets `reply`, with
/// one request in flight.
async fn check_waits(reply: Reply, subscription: &str, waits: bool) {
    let fake = Fake::start([reply, empty()]).await;
    let manager = fake.resource_manager_with(RequestLimits {
        in_flight: 1,
        ..RequestLimits::default()
    });
    let first = tokio::spawn({
        let manager = manager.clone();
        async move { manager.settings(&orders(), &call()).await }
    });
    fake.has_seen(1).await;
    let app: AppId = orders()
        .to_string()
        .replace("/s/", &format!("/{subscription}/"))
        .parse()
        .unwrap();
    let patience = if waits {
        Duration::from_millis(90)
    } else {
        Duration::from_secs(20)
    };
    let second = manager.settings(&app, &within(patience)).await;
    first.abort();
    if waits {
        let error = second.unwrap_err();
        assert!(
            matches!(error.failure, Failure::DeadlineExceeded),
            "{error:?}"
        );
        assert_eq!(fake.seen().len(), 1);
    } else {
        assert!(second.unwrap().is_empty());
    }
}

#[tokio::test]
async fn requests_in_flight_are_bounded_per_subscription() {
    check_waits(Reply::Never, "S", true).await;
    check_waits(Reply::Never, "other", false).await;
}

#[tokio::test]
async fn a_429_pauses_the_subscription_and_another_failure_does_not() {
    check_waits(respond(429, json!({})).with("retry-after", "20"), "s", true).await;
    check_waits(
        respond(503, json!({})).with("retry-after", "20"),
        "s",
        false,
    )
    .await;
}
