//! Error responses of Azure, in either shape and without one.

use keyrelay_azure::AzureError;
use keyrelay_model::{Retryability, error_chain};
use serde_json::json;

use crate::fake::{Fake, Reply, call, orders, respond};

async fn read(reply: Reply) -> AzureError {
    let fake = Fake::start([reply]).await;
    fake.resource_manager()
        .settings(&orders(), &call())
        .await
        .unwrap_err()
}

#[tokio::test]
async fn resource_manager_wraps_its_errors() {
    let body = json!({ "error": { "code": "ResourceNotFound", "message": "The Resource\r\n 'orders' was not found." } });
    let error = read(
        respond(404, body)
            .with("x-ms-request-id", "r")
            .with("x-ms-correlation-request-id", "c"),
    )
    .await;
    assert!(error.is_not_found() && !error.is_forbidden());
    assert_eq!(
        error_chain(&error),
        "could not read the settings of orders: \
         Azure responded with 404 ResourceNotFound: The Resource 'orders' was not found."
    );
    let ids = &error.response().unwrap().ids;
    assert_eq!(
        (ids.request.as_deref(), ids.correlation.as_deref()),
        (Some("r"), Some("c"))
    );
}

#[tokio::test]
async fn microsoft_web_does_not_wrap_its_errors() {
    let body = json!({ "Code": "NotFound", "Message": "Cannot find Site", "Target": null, "Details": [{ "Message": "x" }] });
    let error = read(respond(404, body)).await;
    assert_eq!(
        error_chain(&error),
        "could not read the settings of orders: Azure responded with 404 NotFound: Cannot find Site"
    );
}

#[tokio::test]
async fn a_body_that_is_no_error_is_not_quoted() {
    for body in [
        "<html>planted</html>",
        r#""planted""#,
        r#"{"planted": "planted"}"#,
        r#"{"error": ["planted"]}"#,
        "",
    ] {
        let error = read(Reply::Response {
            status: 400,
            headers: vec![],
            body: body.to_owned(),
        })
        .await;
        assert_eq!(
            error_chain(&error),
            "could not read the settings of orders: Azure responded with 400"
        );
        assert!(!format!("{error:?}").contains("planted"));
    }
}

#[tokio::test]
async fn a_long_message_is_cut() {
    let error = read(respond(
        400,
        json!({ "Code": "x".repeat(5000), "Message": "é".repeat(5000) }),
    ))
    .await;
    let response = error.response().unwrap();
    assert!(response.code.as_ref().unwrap().len() <= 103);
    assert_eq!(response.message.as_ref().unwrap().chars().count(), 603);
}

#[tokio::test]
async fn an_authorization_failure_is_permanent_and_may_be_role_propagation() {
    let error = read(respond(
        403,
        json!({ "error": { "code": "AuthorizationFailed", "message": "no" } }),
    ))
    .await;
    assert!(error.is_forbidden() && error.may_be_role_propagation());
    assert_eq!(error.retryability(), Retryability::Permanent);
    let error = read(respond(
        403,
        json!({ "error": { "code": "RequestDisallowedByPolicy" } }),
    ))
    .await;
    assert!(error.is_forbidden() && !error.may_be_role_propagation());
}

#[tokio::test]
async fn an_authorization_failure_names_action_and_scope_and_then_the_fix() {
    let message = "The client 'keyrelay' with object id 'oid-1' does not have authorization to perform action \
                   'Microsoft.Web/sites/config/list/action' over scope '/subscriptions/s' or the scope is invalid. \
                   If access was recently granted, please refresh your credentials.";
    let error = read(respond(
        403,
        json!({ "error": { "code": "AuthorizationFailed", "message": message } }),
    ))
    .await;
    assert_eq!(
        error.explanation(),
        "could not read the settings of orders: Azure responded with 403 AuthorizationFailed: the identity `oid-1` \
         may not perform `Microsoft.Web/sites/config/list/action` on `/subscriptions/s`. \
         Assign the identity a role that allows the denied action at that scope."
    );
}

#[tokio::test]
async fn an_explanation_has_no_doubled_punctuation() {
    let body = json!({ "error": { "code": "ResourceNotFound", "message": "It was not found." } });
    assert_eq!(
        read(respond(404, body)).await.explanation(),
        "could not read the settings of orders: Azure responded with 404 ResourceNotFound: It was not found. \
         Correct the name in `keyrelay.toml`."
    );
    let transient = read(respond(409, json!({ "Message": "Busy." }))).await;
    assert_eq!(
        transient.explanation(),
        "could not read the settings of orders: Azure responded with 409: Busy."
    );
}

#[tokio::test]
async fn only_a_write_is_planned_again() {
    let error = read(respond(409, json!({}))).await;
    assert_eq!(
        (error.plan_again_after(), error.may_have_been_written()),
        (None, false)
    );
}

#[tokio::test]
async fn the_status_of_an_error_is_kept_without_its_body() {
    assert!(read(Reply::HalfSent(403)).await.is_forbidden());
}
