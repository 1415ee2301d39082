//! Access tokens in the form of Microsoft Entra ID: JSON Web Tokens with an opaque signature.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::managed_identity::ManagedIdentity;

/// The length of an RS256 signature with a key of 2,048 bits, in bytes.
const SIGNATURE: usize = 256;

/// The id of the key that tokens name. No such key exists: services look tokens up in their table.
const KEY_ID: &str = "keyrelay-local-azure";

/// The claims that do not depend on the identity.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenScope<'a> {
    /// The host of the issuer.
    pub(super) issuer: &'a str,
    pub(super) tenant: &'a str,
    /// The resource, as requested.
    pub(super) resource: &'a str,
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
}

/// Creates a token. Azurite and client libraries read its claims and ignore its signature.
pub(super) fn access_token(identity: &ManagedIdentity, scope: TokenScope<'_>) -> String {
    let TokenScope { issuer, tenant, .. } = scope;
    let issuer = format!("https://{issuer}/{tenant}/");
    let issued = scope.issued.as_second();
    let header = json!({ "typ": "JWT", "alg": "RS256", "x5t": KEY_ID, "kid": KEY_ID });
    let claims = json!({
        "aud": scope.resource,
        "iss": issuer,
        "iat": issued,
        "nbf": issued,
        "exp": scope.expires.as_second(),
        "appid": identity.client_id,
        "appidacr": "2",
        "idp": issuer,
        "idtyp": "app",
        "oid": identity.principal_id,
        "sub": identity.principal_id,
        "tid": tenant,
        // Makes each token unique.
        "uti": URL_SAFE_NO_PAD.encode(Uuid::new_v4().as_bytes()),
        "ver": "1.0",
        "xms_mirid": identity.resource_id,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(&header), part(&claims), signature())
}

/// Random bytes in the place of a signature.
fn signature() -> String {
    let mut bytes = Vec::with_capacity(SIGNATURE);
    while bytes.len() < SIGNATURE {
        bytes.extend_from_slice(Uuid::new_v4().as_bytes());
    }
    URL_SAFE_NO_PAD.encode(bytes)
}
