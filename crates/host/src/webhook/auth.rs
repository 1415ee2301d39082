//! Authenticates deliveries: validates the token that Event Grid gets from Microsoft Entra for the
//! app registration of the webhook.
//!
//! Sources: "Deliver events to Microsoft Entra protected endpoints" in Event Grid's documentation;
//! "Access tokens" and "Access token claims reference" in that of the Microsoft identity platform;
//! RFC 7519; and RFC 8725, by which the algorithm is fixed here and not taken from the token.
//!
//! A valid signature and the right audience are not enough: Entra issues to every app of the tenant
//! a token for every app registration that does not require an assignment. So the sender, or its
//! app role, is checked too. A token of a signed-in person (`scp`) is refused: Microsoft's
//! instructions assign the role that Event Grid needs also to the creator of the subscription, and
//! a person does not send events.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use keyrelay_azure::{Cloud, CloudError, Http, SigningKeys};
use keyrelay_config::WebhookConfig;
use serde::Deserialize;
use serde::de::IgnoredAny;

use axum::http::{HeaderMap, header};

use super::refusal::WebhookRefusal;
use super::signing_keys::{KeyError, SigningKeyCache};
use super::token_error::TokenError;

/// Largest difference between clocks, in seconds.
const LEEWAY: u64 = 60;

/// Longest token that is validated, in bytes. Those of Entra have one or two thousand characters,
/// and most ingresses limit headers to 8 KB.
const MAX_TOKEN: usize = 16 * 1024;

/// Longest part of a claim that is logged, in characters.
const SHOWN: usize = 120;

/// Validates the tokens of deliveries.
pub(super) struct Auth {
    keys: SigningKeyCache,
    validation: Validation,
    tenant: String,
    senders: Vec<String>,
    role: Option<String>,
}

/// The claims about the sender. Tokens of version 1.0 have `appid`, those of version 2.0 `azp`.
#[derive(Debug, Deserialize)]
struct Claims {
    tid: String,
    appid: Option<String>,
    azp: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    scp: Option<IgnoredAny>,
}

/// The issuer and the audience, for the error message. Entra never writes lists.
#[derive(Debug, Deserialize)]
struct IssuerAndAudience {
    iss: Option<String>,
    aud: Option<String>,
}

impl Auth {
    pub(super) fn new(
        webhook: &WebhookConfig,
        cloud: &Cloud,
        http: Http,
    ) -> Result<Self, CloudError> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud"]);
        validation.set_issuer(&cloud.token_issuers(&webhook.tenant));
        validation.set_audience(&webhook.audience);
        Ok(Self {
            keys: SigningKeyCache::new(SigningKeys::of_tenant(cloud, &webhook.tenant, http)?),
            validation,
            tenant: webhook.tenant.clone(),
            senders: webhook.senders.clone(),
            role: webhook.role.clone(),
        })
    }

    /// Validates the token of a request.
    pub(super) async fn check(&self, headers: &HeaderMap) -> Result<(), WebhookRefusal> {
        let token = bearer(headers).ok_or(TokenError::Missing)?;
        let header = decode_header(token).map_err(|error| match error.kind() {
            // The library reports an unknown algorithm, such as `none`, as invalid JSON.
            ErrorKind::Json(_) => TokenError::Algorithm,
            _ => TokenError::Malformed,
        })?;
        if header.alg != Algorithm::RS256 {
            return Err(TokenError::Algorithm.into());
        }
        let id = header.kid.ok_or(TokenError::NoKeyId)?;
        let key = self.keys.key(&id).await.map_err(|error| match error {
            KeyError::Unknown => TokenError::UnknownKey.into(),
            KeyError::Unavailable(reason) => WebhookRefusal::NoKey(reason),
        })?;
        // The signature is validated first, so the claims in an error message are Entra's.
        let claims = decode::<Claims>(token, &key, &self.validation)
            .map_err(|error| token_error(token, error.kind()))?;
        Ok(self.check_sender(claims.claims)?)
    }

    fn check_sender(&self, claims: Claims) -> Result<(), TokenError> {
        let Claims {
            tid,
            appid,
            azp,
            roles,
            scp,
        } = claims;
        let sender = azp
            .or(appid)
            .ok_or_else(|| TokenError::Claim("azp".to_owned()))?;
        if !tid.eq_ignore_ascii_case(&self.tenant) {
            return Err(TokenError::Tenant(shortened(&tid)));
        }
        if scp.is_some() {
            return Err(TokenError::Person);
        }
        if !self.senders.is_empty()
            && !self
                .senders
                .iter()
                .any(|it| sender.eq_ignore_ascii_case(it))
        {
            return Err(TokenError::Sender(shortened(&sender)));
        }
        if self.role.as_ref().is_some_and(|role| !roles.contains(role)) {
            return Err(TokenError::Role(shortened(&sender)));
        }
        Ok(())
    }
}

/// The token of a request. Two `Authorization` headers count as none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?.to_str().ok()?, values.next()) else {
        return None;
    };
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let fits = scheme.eq_ignore_ascii_case("Bearer") && (1..=MAX_TOKEN).contains(&token.len());
    fits.then_some(token)
}

fn token_error(token: &str, kind: &ErrorKind) -> TokenError {
    let claims =
        || jsonwebtoken::dangerous::insecure_decode_claims::<IssuerAndAudience>(token).ok();
    let shown = |claim: Option<String>| claim.map(|claim| shortened(&claim)).unwrap_or_default();
    match kind {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::NotYet,
        ErrorKind::InvalidIssuer => {
            TokenError::Issuer(shown(claims().and_then(|claims| claims.iss)))
        }
        ErrorKind::InvalidAudience => {
            TokenError::Audience(shown(claims().and_then(|claims| claims.aud)))
        }
        ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
            TokenError::Claim(claim.clone())
        }
        // The claims are decoded after the signature: they have another shape.
        ErrorKind::Json(_) => TokenError::Claim("tid".to_owned()),
        _ => TokenError::Malformed,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
