//! Secrecy: no policy can put the value of a setting or of a secret into logs, records or
//! responses.
//!
//! Every test of this suite searches its own logs when it ends. These tests try to put a value
//! there.

use crate::fixtures::{PLANTED, reference};
use crate::harness::Harness;
use crate::setup::Setup;

async fn rotated(script: &str, grant: &str) -> Harness {
    let settings = format!("SQL = \"{}\", TEXT = \"{PLANTED}text\"", reference("sql"));
    let app = Setup::new()
        .site("orders", &settings)
        .scripted(script, grant)
        .start()
        .await;
    app.rotate_and_settle("sql").await;
    app
}

#[tokio::test]
async fn plain_text_is_withheld() {
    let app = rotated("tell TEXT", "").await;
    assert_eq!(
        app.outcome("orders"),
        ("notice".to_owned(), "TEXT is withheld".to_owned())
    );
}

#[tokio::test]
async fn a_notice_does_not_show_revealed_text() {
    let app = rotated("tell TEXT", "reveal = [\"TEXT\"]").await;
    assert_eq!(
        app.outcome("orders"),
        ("notice".to_owned(), "TEXT is [hidden]".to_owned())
    );
}

#[tokio::test]
async fn an_error_does_not_show_revealed_text() {
    let app = rotated("fail TEXT", "reveal = [\"TEXT\"]").await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "failed");
    assert!(message.ends_with("TEXT is [hidden]"), "{message}");
}

#[tokio::test]
async fn a_panic_does_not_show_revealed_text() {
    let app = rotated("panic TEXT", "reveal = [\"TEXT\"]").await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "failed");
    assert!(message.contains("the policy crashed"), "{message}");
}

#[tokio::test]
async fn a_name_in_a_patch_does_not_show_revealed_text() {
    let app = rotated("remove named like TEXT", "reveal = [\"TEXT\"]").await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "failed");
    assert!(
        message.contains("holds the plain text of `TEXT`"),
        "{message}"
    );
}

#[tokio::test]
async fn escapes_do_not_hide_revealed_text() {
    let settings = format!(
        "SQL = \"{}\", TEXT = \"{PLANTED}a\\\"\\tb\"",
        reference("sql")
    );
    let app = Setup::new()
        .site("orders", &settings)
        .scripted("tell escaped TEXT", "reveal = [\"TEXT\"]")
        .start()
        .await;
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").1, "\"TEXT is [hidden]\"");
}

#[tokio::test]
async fn the_vault_is_never_asked_for_a_value() {
    let app = rotated("set SQL pin", "").await;
    assert_eq!(app.outcome("orders").0, "verified");
    for request in app.azure.cloud.requests() {
        let of_secret = request.path.contains("/secrets/");
        assert!(
            !of_secret || request.path.ends_with("/versions"),
            "{} {}",
            request.method,
            request.path
        );
    }
}

#[tokio::test]
async fn debugging_shows_requests_and_no_values() {
    let settings = format!("SQL = \"{}\", TEXT = \"{PLANTED}text\"", reference("sql"));
    let rule = "log = \"debug\"\n[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"";
    let app = Setup::new()
        .site("orders", &settings)
        .configured(rule)
        .start()
        .await;
    app.rotate_and_settle("sql").await;
    assert!(app.log().contains("\"level\":\"DEBUG\""), "{}", app.log());
}
