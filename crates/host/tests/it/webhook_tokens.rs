//! The tokens that the webhook accepts, and those that it refuses.

use serde_json::{Value, json};

use crate::entra::{Key, SENDER, TENANT, unsigned};
use crate::fixtures::event;
use crate::harness::field;
use crate::setup::Setup;
use crate::webhook_harness::{Webhook, app};

const OTHER: &str = "99999999-8888-7777-6666-555555555555";

/// Events for tests about tokens, which are refused before any event is read.
fn any() -> Value {
    json!([event("any", "sql", "0")])
}

impl Webhook {
    /// Delivers with each token, and checks the response and the log line.
    async fn refuses(&self, tokens: &[(&str, String)]) {
        for (expected, token) in tokens {
            let response = self
                .request(&any())
                .bearer_auth(token)
                .send()
                .await
                .unwrap();
            assert_eq!(response.status(), 401, "{expected}");
            assert_eq!(
                response.headers()["www-authenticate"],
                "Bearer error=\"invalid_token\""
            );
            let text = response.text().await.unwrap();
            assert!(text.len() < 100 && !text.contains(expected), "{text}");
            self.until_logged(expected).await;
            let lines = self.lines();
            let line = lines
                .iter()
                .rfind(|line| field(line, "message").contains("refused"))
                .unwrap();
            assert!(field(line, "message").contains(expected), "{line:?}");
            assert_eq!(field(line, "level"), "WARN");
        }
        assert_eq!(self.runs(), 0);
    }
}

#[tokio::test]
async fn a_delivery_without_a_token_is_refused() {
    let webhook = Webhook::start(Setup::new(), "").await;
    for request in [
        webhook.request(&any()),
        webhook
            .request(&any())
            .header("authorization", "Basic dTpw"),
        webhook.request(&any()).header("authorization", "Bearer"),
        webhook
            .request(&any())
            .bearer_auth(webhook.entra.token())
            .bearer_auth(webhook.entra.token()),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
    // That needs no keys.
    assert_eq!((webhook.entra.requests(), webhook.runs()), (0, 0));
    webhook.until_logged("there is no token").await;
}

#[tokio::test]
async fn every_claim_of_a_token_is_validated() {
    let webhook = Webhook::start(Setup::new(), "").await;
    let entra = &webhook.entra;
    let key = entra.key();
    let now = jiff::Timestamp::now().as_second();
    let with = |claims: Value| key.sign(&entra.claims_with(&claims));
    let tokens = [
        (
            "but from `https://issuer.example/`",
            with(json!({ "iss": "https://issuer.example/" })),
        ),
        (
            "but from `https://sts.windows.net/9",
            with(json!({ "iss": format!("https://sts.windows.net/{OTHER}/") })),
        ),
        ("the claim `iss` of the token", with(json!({ "iss": null }))),
        (
            "for `api://another`, which `webhook.audience`",
            with(json!({ "aud": "api://another" })),
        ),
        (
            "for `api://keyrelay/`",
            with(json!({ "aud": "api://keyrelay/" })),
        ),
        ("the claim `aud` of the token", with(json!({ "aud": null }))),
        ("has expired", with(json!({ "exp": now - 61 }))),
        ("the claim `exp` of the token", with(json!({ "exp": null }))),
        ("not valid yet", with(json!({ "nbf": now + 120 }))),
        ("of the tenant `99999999", with(json!({ "tid": OTHER }))),
        ("the claim `tid` of the token", with(json!({ "tid": null }))),
        ("the sender is `99999999", with(json!({ "azp": OTHER }))),
        ("the claim `azp` of the token", with(json!({ "azp": null }))),
        (
            "does not have the app role",
            with(json!({ "roles": ["another"] })),
        ),
        ("does not have the app role", with(json!({ "roles": null }))),
        (
            "a person who signed in",
            with(json!({ "scp": "user_impersonation" })),
        ),
    ];
    webhook.refuses(&tokens).await;
}

#[tokio::test]
async fn a_token_must_be_signed_by_entra() {
    let webhook = Webhook::start(Setup::new(), "").await;
    let entra = &webhook.entra;
    let (key, claims) = (entra.key(), entra.claims());
    let impostor = Key::new(&key.id);
    let good = entra.token();
    let changed = {
        let mut parts: Vec<&str> = good.split('.').collect();
        let other = entra
            .key()
            .sign(&entra.claims_with(&json!({ "azp": OTHER })));
        let other = other.split('.').nth(1).unwrap().to_owned();
        parts[1] = &other;
        parts.join(".")
    };
    let tokens = [
        ("not signed with RS256", unsigned(&claims)),
        ("not signed with RS256", key.sign_with_public_key(&claims)),
        (
            "not signed with RS256",
            key.sign_as(&json!({ "alg": "PS256", "kid": key.id }), &claims),
        ),
        (
            "the signature of the token is not valid",
            impostor.sign(&claims),
        ),
        ("the signature of the token is not valid", changed),
        (
            "the signature of the token is not valid",
            format!("{}.", good.rsplit_once('.').unwrap().0),
        ),
        (
            "does not name its signing key",
            key.sign_as(&json!({ "alg": "RS256" }), &claims),
        ),
        ("not a JSON Web Token", "one.two".to_owned()),
    ];
    webhook.refuses(&tokens).await;
}

#[tokio::test]
async fn tokens_of_both_versions_are_accepted() {
    let mut webhook = Webhook::start(app(), "").await;
    let first = json!({
        "iss": format!("https://sts.windows.net/{TENANT}/"),
        "ver": "1.0", "azp": null, "appid": SENDER.to_uppercase(), "exp": jiff::Timestamp::now().as_second() - 30,
    });
    let token = webhook.entra.key().sign(&webhook.entra.claims_with(&first));
    let event = json!([webhook.rotate("sql").await]);
    assert_eq!(
        webhook.status_with(&token, &event).await,
        200,
        "{}",
        webhook.log()
    );
    assert_eq!(
        webhook.status_with(&webhook.entra.token(), &event).await,
        200,
        "{}",
        webhook.log()
    );
}

#[tokio::test]
async fn an_unknown_key_is_fetched_once() {
    let mut webhook = Webhook::start(app(), "").await;
    let event = json!([webhook.rotate("sql").await]);
    assert_eq!(webhook.deliver(&event).await.status(), 200);
    assert_eq!(webhook.entra.requests(), 1);
    let second = Key::new("second");
    webhook.entra.publish(&second);
    let token = second.sign(&webhook.entra.claims());
    assert_eq!(
        webhook.status_with(&token, &event).await,
        200,
        "{}",
        webhook.log()
    );
    assert_eq!(webhook.entra.requests(), 2);
    // Made-up key ids must not cause a request each time. A refusal would be permanent, so the
    // response is 503.
    for name in ["third", "fourth"] {
        let token = Key::new(name).sign(&webhook.entra.claims());
        assert_eq!(webhook.status_with(&token, &event).await, 503);
    }
    assert_eq!(webhook.deliver(&event).await.status(), 200);
    assert_eq!(webhook.entra.requests(), 2);
}

#[tokio::test]
async fn a_key_that_entra_does_not_have_is_refused() {
    let webhook = Webhook::start(Setup::new(), "").await;
    let token = Key::new("made-up").sign(&webhook.entra.claims());
    webhook
        .refuses(&[("names a signing key that Entra does not have", token)])
        .await;
}

#[tokio::test]
async fn without_entras_keys_event_grid_delivers_again() {
    let mut webhook = Webhook::start(app(), "").await;
    webhook.entra.set_down(true);
    let event = json!([webhook.rotate("sql").await]);
    let response = webhook.deliver(&event).await;
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    webhook.until_logged("it responded with 502").await;
    webhook.entra.set_down(false);
    // Not at once: the keys are not requested again for each delivery after a failure.
    assert_eq!(webhook.deliver(&event).await.status(), 503);
    assert_eq!(webhook.entra.requests(), 1);
    tokio::time::sleep(std::time::Duration::from_millis(5_100)).await;
    assert_eq!(
        webhook.deliver(&event).await.status(),
        200,
        "{}",
        webhook.log()
    );
}
