//! The public keys with which Entra signs its tokens.
//!
//! They form a JSON Web Key Set (RFC 7517) at `{login}/{tenant}/discovery/v2.0/keys`; see "Access
//! tokens" in the documentation of the Microsoft identity platform. Entra rolls them over every few
//! weeks, and immediately in an emergency.

use reqwest::header::ACCEPT;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::call::Deadline;
use crate::cloud::{Cloud, CloudError};
use crate::failure::Failure;
use crate::http::Http;

/// The key set of one tenant.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    http: Http,
    url: Url,
}

/// A public key for RS256.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SigningKey {
    /// The key id that a token refers to: `kid`.
    #[serde(rename = "kid")]
    pub id: String,
    /// The modulus, base64url.
    #[serde(rename = "n")]
    pub modulus: String,
    /// The exponent, base64url.
    #[serde(rename = "e")]
    pub exponent: String,
}

/// The failure to fetch keys.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeysError {
    /// No complete response arrived.
    #[error("could not fetch Entra's signing keys from {url}")]
    NotReached {
        /// The URL of the keys.
        url: Url,
        /// The reason.
        #[source]
        source: Box<Failure>,
    },
    /// The response has a status other than success.
    #[error("could not fetch Entra's signing keys from {url}: it responded with {status}")]
    Status {
        /// The URL of the keys.
        url: Url,
        /// The HTTP status.
        status: u16,
    },
    /// The body is not a key set, or has no key for RS256.
    #[error("{url} has no key for RS256")]
    NoKeys {
        /// The URL of the keys.
        url: Url,
    },
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl SigningKeys {
    /// The key set of a tenant. Nothing is fetched yet.
    pub fn of_tenant(cloud: &Cloud, tenant: &str, http: Http) -> Result<Self, CloudError> {
        cloud.check()?;
        let mut url = cloud.login.clone();
        url.set_path(&format!(
            "{}/{tenant}/discovery/v2.0/keys",
            url.path().trim_end_matches('/')
        ));
        Ok(Self { http, url })
    }

    /// Fetches all keys for RS256. Keys of other kinds are skipped.
    pub async fn fetch(&self, deadline: Deadline) -> Result<Vec<SigningKey>, SigningKeysError> {
        let url = || self.url.clone();
        let request = self
            .http
            .client()
            .get(url())
            .header(ACCEPT, "application/json");
        let response = self.http.exchange(request, deadline).await;
        let response = response.map_err(|source| SigningKeysError::NotReached {
            url: url(),
            source: Box::new(source),
        })?;
        if !response.status.is_success() {
            return Err(SigningKeysError::Status {
                url: url(),
                status: response.status.as_u16(),
            });
        }
        let keys = parse(&response.body);
        if keys.is_empty() {
            Err(SigningKeysError::NoKeys { url: url() })
        } else {
            Ok(keys)
        }
    }
}

/// Reads a key set, skipping keys that cannot be read.
fn parse(body: &[u8]) -> Vec<SigningKey> {
    let set = serde_json::from_slice(body).unwrap_or(KeySet { keys: Vec::new() });
    let text = |key: &Value, name: &str| key.get(name).and_then(Value::as_str).map(str::to_owned);
    let signs = |key: &Value| {
        text(key, "kty").as_deref() == Some("RSA")
            && text(key, "use").is_none_or(|it| it == "sig")
            && text(key, "alg").is_none_or(|it| it == "RS256")
    };
    let keys = set.keys.into_iter().filter(signs);
    keys.filter_map(|key| serde_json::from_value(key).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_kinds_are_skipped() {
        let set = r#"{"keys":[
            {"kty":"RSA","use":"sig","kid":"a","n":"AQAB","e":"AQAB","x5c":["x"]},
            {"kty":"RSA","use":"enc","kid":"b","n":"AQAB","e":"AQAB"},
            {"kty":"RSA","alg":"RS512","kid":"c","n":"AQAB","e":"AQAB"},
            {"kty":"EC","use":"sig","kid":"d","crv":"P-256","x":"AA","y":"AA"},
            {"kty":"oct","kid":"e","k":"AA"},
            {"kty":"RSA","kid":"f","n":"AQAB"},
            7
        ]}"#;
        let ids: Vec<String> = parse(set.as_bytes())
            .into_iter()
            .map(|key| key.id)
            .collect();
        assert_eq!(ids, ["a"]);
    }

    #[test]
    fn a_body_that_is_no_key_set_has_no_keys() {
        for body in ["", "<html>", "[]", r#"{"keys":{}}"#] {
            assert!(parse(body.as_bytes()).is_empty(), "{body}");
        }
    }
}
