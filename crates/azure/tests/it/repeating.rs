//! What is tried again, and what is not.

use std::time::Duration;

use keyrelay_azure::{Failure, Limits};
use keyrelay_model::{AppId, Retryability};
use serde_json::json;

use crate::fake::{Fake, Reply, again, answer, call, orders, within};

fn empty() -> Reply {
    answer(200, json!({ "properties": {} }))
}

/// Plays the replies to a read that must succeed in the end, after so many requests.
async fn check_heals(replies: Vec<Reply>, requests: usize) {
    let fake = Fake::start(replies).await;
    let call = call();
    fake.resource_manager()
        .settings(&orders(), &call)
        .await
        .unwrap();
    assert_eq!(fake.seen().len(), requests);
    assert_eq!(call.log.records()[0].attempts as usize, requests);
}

/// Plays one reply to a read that must fail with it at once.
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
async fn what_azure_asks_to_repeat_is_repeated() {
    check_heals(
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
    let reply = answer(503, json!({}))
        .with("retry-after", now)
        .with("date", now);
    check_heals(vec![reply, empty()], 2).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    check_heals(vec![Reply::HalfSent(200), empty()], 2).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_again() {
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
    let manager = fake.resource_manager_with(Limits {
        attempt: Duration::from_millis(100),
        ..Limits::default()
    });
    manager.settings(&orders(), &call()).await.unwrap();
    assert!(fake.seen().len() >= 2);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let fake = Fake::start([answer(401, json!({})), empty(), empty()]).await;
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
async fn a_second_refusal_is_permanent() {
    let fake = Fake::start([answer(401, json!({})), answer(401, json!({})), empty()]).await;
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
async fn what_does_not_pass_is_not_repeated() {
    for status in [400, 403, 404, 410, 412] {
        check_fails(answer(status, json!({})), Retryability::Permanent).await;
    }
    for status in [409, 501] {
        check_fails(answer(status, json!({})), Retryability::Transient).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    check_fails(
        answer(307, json!({})).with("location", "/elsewhere"),
        Retryability::Permanent,
    )
    .await;
}

#[tokio::test]
async fn it_is_not_waited_for_what_comes_after_the_deadline() {
    let fake = Fake::start([answer(429, json!({})).with("retry-after", "60"), empty()]).await;
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
async fn repetitions_come_to_an_end() {
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
async fn nobody_there_is_transient() {
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
async fn the_end_of_the_time_does_not_hide_what_went_wrong_before() {
    let fake = Fake::start([again(503), Reply::Never]).await;
    let error = fake
        .resource_manager()
        .settings(&orders(), &within(Duration::from_millis(400)))
        .await
        .unwrap_err();
    assert_eq!(
        error.response().map(|answer| answer.status),
        Some(503),
        "{error:?}"
    );
}

/// With one request in flight at most: whether a second call, of this subscription, waits while the first meets `reply`.
async fn check_waits(reply: Reply, subscription: &str, waits: bool) {
    let fake = Fake::start([reply, empty()]).await;
    let manager = fake.resource_manager_with(Limits {
        in_flight: 1,
        ..Limits::default()
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
async fn requests_in_flight_are_bounded_for_each_subscription() {
    check_waits(Reply::Never, "S", true).await;
    check_waits(Reply::Never, "other", false).await;
}

#[tokio::test]
async fn who_is_throttled_holds_up_its_subscription_and_who_fails_does_not() {
    check_waits(answer(429, json!({})).with("retry-after", "20"), "s", true).await;
    check_waits(answer(503, json!({})).with("retry-after", "20"), "s", false).await;
}
