//! Failing writes of settings: sent once, with the pause before the caller plans again.

use std::time::Duration;

use keyrelay_azure::{AzureError, Failure};
use keyrelay_model::{Retryability, SettingValue, Settings, error_chain};
use serde_json::json;

use crate::fake::{Fake, Reply, call, orders, respond, within};

const SECRET: &str = "Server=tcp:planted-host;Password=\"planted word\" and more";

fn settings() -> Settings {
    let pair = |name: &str, value: &str| (name.parse().unwrap(), SettingValue::new(value));
    [
        pair("CONNECTION", SECRET),
        pair("PIN", "471"),
        pair("KEY", "planted/key=="),
        pair("PHRASE", "q w e r"),
    ]
    .into_iter()
    .collect()
}

async fn write(fake: &Fake) -> AzureError {
    fake.resource_manager()
        .write_settings(&orders(), &settings(), &call())
        .await
        .unwrap_err()
}

/// Plays a reply to a write that must fail without being repeated.
async fn check(reply: Reply, may_have_been_written: bool, plan_again_after: Option<u64>) {
    let fake = Fake::start([reply, respond(200, json!({ "properties": {} }))]).await;
    let error = write(&fake).await;
    assert_eq!(fake.seen().len(), 1, "{error:?}");
    assert_eq!(
        error.may_have_been_written(),
        may_have_been_written,
        "{error:?}"
    );
    assert_eq!(
        error.plan_again_after(),
        plan_again_after.map(Duration::from_secs),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_write_with_an_uncertain_outcome_is_not_repeated() {
    check(Reply::HalfSent(200), true, Some(1)).await;
    check(respond(500, json!({})), true, Some(1)).await;
    check(
        respond(504, json!({})).with("retry-after", "3"),
        true,
        Some(3),
    )
    .await;
    check(respond(200, json!({ "properties": null })), true, Some(1)).await;
}

#[tokio::test]
async fn a_write_that_was_not_accepted_is_planned_again() {
    check(
        respond(429, json!({})).with("retry-after", "7"),
        false,
        Some(7),
    )
    .await;
    check(respond(409, json!({ "Code": "Conflict" })), false, Some(1)).await;
}

#[tokio::test]
async fn a_rejected_write_is_not_planned_again() {
    check(respond(400, json!({})), false, None).await;
    check(respond(403, json!({})), false, None).await;
    check(
        respond(409, json!({ "error": { "code": "ScopeLocked" } })),
        false,
        None,
    )
    .await;
}

#[tokio::test]
async fn a_write_on_a_dropped_connection_may_have_happened() {
    let fake = Fake::cutting(1, [respond(200, json!({ "properties": {} }))]).await;
    let error = write(&fake).await;
    assert!(matches!(error.failure, Failure::NoResponse(_)), "{error:?}");
    assert!(error.may_have_been_written() && fake.seen().is_empty());
    assert!(
        error
            .to_string()
            .contains("could not confirm that they were written"),
        "{error}"
    );
}

#[tokio::test]
async fn a_write_without_a_response_may_have_happened() {
    let fake = Fake::start([Reply::Never]).await;
    let call = within(Duration::from_millis(900));
    let manager = fake.resource_manager();
    let error = manager
        .write_settings(&orders(), &settings(), &call)
        .await
        .unwrap_err();
    assert!(
        error.may_have_been_written() && error.retryability() == Retryability::Transient,
        "{error:?}"
    );
}

#[tokio::test]
async fn a_write_with_a_rejected_token_is_sent_again_with_another() {
    let fake = Fake::start([
        respond(401, json!({})),
        respond(200, json!({ "properties": {} })),
    ])
    .await;
    fake.resource_manager()
        .write_settings(&orders(), &settings(), &call())
        .await
        .unwrap();
    let seen = fake.seen();
    assert_eq!(seen[1].headers["authorization"], "Bearer token-2");
    assert_eq!(seen[0].body, seen[1].body);
}

#[tokio::test]
async fn sent_values_are_removed_from_messages() {
    let messages = [
        format!("The value {SECRET} of CONNECTION is not valid."),
        format!("The value '{SECRET}' of CONNECTION is not valid."),
        "The value 'Server=tcp:planted-host;Password=' of CONNECTION is not valid.".to_owned(),
        r#"The value \"planted word\" of CONNECTION is not valid."#.to_owned(),
        "The value (planted-host), or `planted/key=='.".to_owned(),
        "The value 471.".to_owned(),
        "The value q w e r.".to_owned(),
    ];
    for message in messages {
        for body in [
            json!({ "error": { "code": SECRET, "message": message } }),
            json!({ "Message": message }),
        ] {
            let fake = Fake::start([respond(400, body)]).await;
            let error = write(&fake).await;
            let text = format!("{} {error:?}", error_chain(&error));
            assert!(
                ["planted", "471", "q w e r"]
                    .iter()
                    .all(|value| !text.contains(value)),
                "{text}"
            );
            assert!(text.contains("The value"), "{text}");
        }
    }
}
