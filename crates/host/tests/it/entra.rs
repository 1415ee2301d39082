//! A stand-in for Entra: signs tokens and publishes its keys.
//!
//! It implements RFC 7515, 7517 and 7519 without a library for tokens, so that it can also make
//! invalid ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const AUDIENCE: &str = "api://keyrelay";
pub(crate) const SENDER: &str = "4962773b-9cdb-44cf-a8bf-237846a00ab7";
pub(crate) const ROLE: &str = "AzureEventGridSecureWebhookSubscriber";

/// A running Entra.
pub(crate) struct Entra {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The keys that are published.
    published: Mutex<Vec<Key>>,
    /// The number of requests for the keys.
    requests: AtomicUsize,
    /// Whether requests for the keys fail.
    is_down: Mutex<bool>,
}

/// A key to sign with.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pair: Arc<KeyPair>,
}

impl Key {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            pair: Arc::new(KeyPair::generate(KeySize::Rsa2048).unwrap()),
        }
    }

    fn published(&self) -> Value {
        let public = self.pair.public_key();
        let (n, e) = (public.modulus(), public.exponent());
        json!({
            "kty": "RSA", "use": "sig", "kid": self.id, "x5t": self.id,
            "n": URL_SAFE_NO_PAD.encode(n.big_endian_without_leading_zero()),
            "e": URL_SAFE_NO_PAD.encode(e.big_endian_without_leading_zero()),
        })
    }

    /// A token that is signed with this key.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(
            &json!({ "typ": "JWT", "alg": "RS256", "kid": self.id }),
            claims,
        )
    }

    /// A token with another header.
    pub(crate) fn sign_as(&self, head: &Value, claims: &Value) -> String {
        let text = signed_part(head, claims);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A forged token: its HMAC uses the public key as the secret.
    pub(crate) fn sign_with_public_key(&self, claims: &Value) -> String {
        let text = signed_part(
            &json!({ "typ": "JWT", "alg": "HS256", "kid": self.id }),
            claims,
        );
        let public: PublicKeyX509Der<'_> = self.pair.public_key().as_der().unwrap();
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, public.as_ref()),
            text.as_bytes(),
        );
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
    }
}

/// A token without a signature.
pub(crate) fn unsigned(claims: &Value) -> String {
    format!(
        "{}.",
        signed_part(&json!({ "typ": "JWT", "alg": "none" }), claims)
    )
}

fn signed_part(head: &Value, claims: &Value) -> String {
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(head.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}

impl Entra {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        shared.published.lock().unwrap().push(Key::new("first"));
        let keys = Router::new()
            .route("/{tenant}/discovery/v2.0/keys", get(keys))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, keys).await });
        Self { url, shared }
    }

    /// The key that is published first.
    pub(crate) fn key(&self) -> Key {
        self.shared
            .published
            .lock()
            .unwrap()
            .first()
            .unwrap()
            .clone()
    }

    /// Publishes another key.
    pub(crate) fn publish(&self, key: &Key) {
        self.shared.published.lock().unwrap().push(key.clone());
    }

    /// The number of requests for the keys.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Lets requests for the keys fail, or succeed again.
    pub(crate) fn set_down(&self, is_down: bool) {
        *self.shared.is_down.lock().unwrap() = is_down;
    }

    /// The claims of Event Grid in a token of version 2.0.
    pub(crate) fn claims(&self) -> Value {
        let now = Timestamp::now().as_second();
        json!({
            "iss": format!("{}/{TENANT}/v2.0", self.url),
            "aud": AUDIENCE,
            "tid": TENANT,
            "azp": SENDER,
            "roles": [ROLE],
            "ver": "2.0",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
        })
    }

    /// The same claims with some replaced. Null removes a claim.
    pub(crate) fn claims_with(&self, others: &Value) -> Value {
        let mut claims = self.claims();
        let all = claims.as_object_mut().unwrap();
        for (name, value) in others.as_object().unwrap() {
            match value {
                Value::Null => all.remove(name),
                value => all.insert(name.clone(), value.clone()),
            };
        }
        claims
    }

    /// A valid token.
    pub(crate) fn token(&self) -> String {
        self.key().sign(&self.claims())
    }
}

async fn keys(State(shared): State<Arc<Shared>>, Path(tenant): Path<String>) -> Response {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    if *shared.is_down.lock().unwrap() {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    if tenant != TENANT {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let keys: Vec<Value> = shared
        .published
        .lock()
        .unwrap()
        .iter()
        .map(Key::published)
        .collect();
    Json(json!({ "keys": keys })).into_response()
}
