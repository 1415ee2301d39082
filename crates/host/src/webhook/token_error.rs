//! Errors of tokens.

/// The reason why a token is not valid. Claims are repeated only if the signature is valid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("there is no token in `Authorization: Bearer`")]
    Missing,
    #[error("the token is not a JSON Web Token")]
    Malformed,
    #[error("the token is not signed with RS256")]
    Algorithm,
    #[error("the token does not name its signing key")]
    NoKeyId,
    #[error("the token names a signing key that Entra does not have")]
    UnknownKey,
    #[error("the signature of the token is not valid")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token is not from Entra for the tenant of `webhook.tenant`, but from `{0}`")]
    Issuer(String),
    #[error("the token is for `{0}`, which `webhook.audience` does not list")]
    Audience(String),
    #[error("the claim `{0}` of the token is missing, or is not what Entra writes")]
    Claim(String),
    #[error("the token is of the tenant `{0}`, not of `webhook.tenant`")]
    Tenant(String),
    #[error("the token was issued to a person who signed in")]
    Person,
    #[error("the sender is `{0}`, which `webhook.senders` does not list")]
    Sender(String),
    #[error("the sender `{0}` does not have the app role of `webhook.role`")]
    Role(String),
}
