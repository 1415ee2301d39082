//! The keys that Entra signs its tokens with, for those who are shown such a token.
//!
//! They are public, in a JSON Web Key Set (RFC 7517) at `{login}/{tenant}/discovery/v2.0/keys`; see "Access tokens" of the
//! Microsoft identity platform's documentation. Entra changes them every few weeks, and at once when it must.

use reqwest::header::ACCEPT;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::call::Deadline;
use crate::cloud::{Cloud, CloudError};
use crate::error::Failure;
use crate::http::Http;

/// Where the keys of one tenant are.
#[derive(Debug, Clone)]
pub struct SigningKeys {
    http: Http,
    url: Url,
}

/// A public key for RS256.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SigningKey {
    /// What a token calls it by: `kid`.
    #[serde(rename = "kid")]
    pub id: String,
    /// The modulus, base64url.
    #[serde(rename = "n")]
    pub modulus: String,
    /// The exponent, base64url.
    #[serde(rename = "e")]
    pub exponent: String,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeysError {
    /// No whole answer came.
    #[error("the keys that Entra signs with could not be fetched from {url}")]
    NotReached {
        /// Where they are.
        url: Url,
        /// Why.
        #[source]
        source: Box<Failure>,
    },
    /// An answer of another status than success.
    #[error("the keys that Entra signs with could not be fetched from {url}: it answered {status}")]
    Status {
        /// Where they are.
        url: Url,
        /// The status.
        status: u16,
    },
    /// Something else than a set of keys, or one without a key for RS256.
    #[error("{url} holds no key for RS256")]
    NoKeys {
        /// Where they should be.
        url: Url,
    },
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl SigningKeys {
    /// The keys of a tenant. Nothing is asked yet.
    pub fn of_tenant(cloud: &Cloud, tenant: &str, http: Http) -> Result<Self, CloudError> {
        cloud.check()?;
        let mut url = cloud.login.clone();
        url.set_path(&format!(
            "{}/{tenant}/discovery/v2.0/keys",
            url.path().trim_end_matches('/')
        ));
        Ok(Self { http, url })
    }

    /// All keys that a token may be signed with. Keys of other kinds are left out.
    pub async fn fetch(&self, deadline: Deadline) -> Result<Vec<SigningKey>, SigningKeysError> {
        let url = || self.url.clone();
        let request = self
            .http
            .client()
            .get(url())
            .header(ACCEPT, "application/json");
        let answer = self.http.exchange(request, deadline).await;
        let answer = answer.map_err(|source| SigningKeysError::NotReached {
            url: url(),
            source: Box::new(source),
        })?;
        if !answer.status.is_success() {
            return Err(SigningKeysError::Status {
                url: url(),
                status: answer.status.as_u16(),
            });
        }
        let keys = parse(&answer.body);
        if keys.is_empty() {
            Err(SigningKeysError::NoKeys { url: url() })
        } else {
            Ok(keys)
        }
    }
}

/// One key that cannot be read is no reason to do without the others.
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
    fn keys_of_other_kinds_are_left_out() {
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
    fn what_is_no_set_holds_no_key() {
        for body in ["", "<html>", "[]", r#"{"keys":{}}"#] {
            assert!(parse(body.as_bytes()).is_empty(), "{body}");
        }
    }
}
