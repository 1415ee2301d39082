//! Tokens for blob storage.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// Creates an unsigned token for blob storage. Azurite checks the claims and ignores the signature.
pub(crate) fn storage_token(expires: Timestamp) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
        "iat": 0,
        "nbf": 0,
        "exp": expires.as_second(),
        // Makes each token unique.
        "uti": Uuid::new_v4().to_string(),
    });
    format!(
        "{}.{}.{}",
        part(&json!({ "alg": "none", "typ": "JWT" })),
        part(&claims),
        URL_SAFE_NO_PAD.encode("unsigned")
    )
}
