//! Who may deliver: the token that Event Grid gets from Entra for the webhook's app registration.
//!
//! Sources: "Deliver events to Microsoft Entra protected endpoints" of Event Grid's documentation, "Access tokens" and
//! "Access token claims reference" of the Microsoft identity platform's, RFC 7519, and RFC 8725, which is why the
//! algorithm is ours to say and not the token's.
//!
//! A good signature and the right audience are not enough: Entra gives every app of the tenant a token for every app
//! registration that does not demand an assignment. So the sender, or an app role that it was given, is looked at too. A
//! token that somebody signed in for (`scp`) is refused: the role that Event Grid needs is by Microsoft's instructions also
//! given to whoever creates the subscription, and a person is not a sender of events.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use keyrelay_azure::{Cloud, CloudError, Http, SigningKeys};
use serde::Deserialize;
use serde::de::IgnoredAny;

use axum::http::{HeaderMap, header};

use super::keys::{Keys, NoKey};
use super::refusal::Refusal;
use crate::config::Webhook;

/// By how much clocks may differ, in seconds.
const LEEWAY: u64 = 60;

/// The longest token that is looked at. Entra's have one or two thousand characters; headers end at 8 KB in most ingresses.
const MAX_TOKEN: usize = 16 * 1024;

/// How much of a claim is shown in the log.
const SHOWN: usize = 120;

/// Judges tokens.
pub(super) struct Gate {
    keys: Keys,
    validation: Validation,
    tenant: String,
    senders: Vec<String>,
    role: Option<String>,
}

/// What is wrong with a token. What it claims is only repeated if its signature is good.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenProblem {
    #[error("there is no token in `Authorization: Bearer`")]
    Missing,
    #[error("the token is not a JSON Web Token")]
    Malformed,
    #[error("the token is not signed with RS256")]
    Algorithm,
    #[error("the token does not name the key that it is signed with")]
    NoKeyId,
    #[error("the token names a key that Entra does not have")]
    UnknownKey,
    #[error("the token is not signed with the key that it names")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token is not from Entra for the tenant of `webhook.tenant`, but from `{0}`")]
    Issuer(String),
    #[error("the token is for `{0}`, which `webhook.audience` does not list")]
    Audience(String),
    #[error("the token lacks `{0}`, or holds something else there than Entra writes")]
    Claim(String),
    #[error("the token is of the tenant `{0}`")]
    Tenant(String),
    #[error("the token is one that a person signed in for")]
    Person,
    #[error("the sender is `{0}`, which `webhook.senders` does not list")]
    Sender(String),
    #[error("the sender `{0}` was not given the app role of `webhook.role`")]
    Role(String),
}

/// What Entra says about the sender. Tokens of the first version have `appid`, those of the second `azp`.
#[derive(Debug, Deserialize)]
struct Claims {
    tid: String,
    appid: Option<String>,
    azp: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    scp: Option<IgnoredAny>,
}

/// Who a token must be from and for: what the library checks once more by itself. One text each, for Entra never writes lists.
#[derive(Debug, Deserialize)]
struct Ends {
    iss: Option<String>,
    aud: Option<String>,
}

impl Gate {
    pub(super) fn new(webhook: &Webhook, cloud: &Cloud, http: Http) -> Result<Self, CloudError> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud"]);
        validation.set_issuer(&cloud.token_issuers(&webhook.tenant));
        validation.set_audience(&webhook.audience);
        Ok(Self {
            keys: Keys::new(SigningKeys::of_tenant(cloud, &webhook.tenant, http)?),
            validation,
            tenant: webhook.tenant.clone(),
            senders: webhook.senders.clone(),
            role: webhook.role.clone(),
        })
    }

    /// Lets a request pass, or says why not.
    pub(super) async fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = bearer(headers).ok_or(TokenProblem::Missing)?;
        let header = decode_header(token).map_err(|error| match error.kind() {
            // An algorithm that the library has no name for, such as `none`, is no JSON that it knows.
            ErrorKind::Json(_) => TokenProblem::Algorithm,
            _ => TokenProblem::Malformed,
        })?;
        if header.alg != Algorithm::RS256 {
            return Err(TokenProblem::Algorithm.into());
        }
        let id = header.kid.ok_or(TokenProblem::NoKeyId)?;
        let key = self.keys.key(&id).await.map_err(|error| match error {
            NoKey::Unknown => TokenProblem::UnknownKey.into(),
            NoKey::NotNow(reason) => Refusal::NoKey(reason),
        })?;
        // The signature comes first, so what a problem repeats of the claims is Entra's word.
        let claims = decode::<Claims>(token, &key, &self.validation)
            .map_err(|error| problem(token, error.kind()))?;
        Ok(self.check_sender(claims.claims)?)
    }

    fn check_sender(&self, claims: Claims) -> Result<(), TokenProblem> {
        let Claims {
            tid,
            appid,
            azp,
            roles,
            scp,
        } = claims;
        let sender = azp
            .or(appid)
            .ok_or_else(|| TokenProblem::Claim("azp".to_owned()))?;
        if !tid.eq_ignore_ascii_case(&self.tenant) {
            return Err(TokenProblem::Tenant(shortened(&tid)));
        }
        if scp.is_some() {
            return Err(TokenProblem::Person);
        }
        if !self.senders.is_empty()
            && !self
                .senders
                .iter()
                .any(|it| sender.eq_ignore_ascii_case(it))
        {
            return Err(TokenProblem::Sender(shortened(&sender)));
        }
        if self.role.as_ref().is_some_and(|role| !roles.contains(role)) {
            return Err(TokenProblem::Role(shortened(&sender)));
        }
        Ok(())
    }
}

/// The token of a request. Two of them are as good as none.
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

fn problem(token: &str, kind: &ErrorKind) -> TokenProblem {
    let ends = || jsonwebtoken::dangerous::insecure_decode_claims::<Ends>(token).ok();
    let shown = |claim: Option<String>| claim.map(|claim| shortened(&claim)).unwrap_or_default();
    match kind {
        ErrorKind::InvalidSignature => TokenProblem::Signature,
        ErrorKind::ExpiredSignature => TokenProblem::Expired,
        ErrorKind::ImmatureSignature => TokenProblem::NotYet,
        ErrorKind::InvalidIssuer => TokenProblem::Issuer(shown(ends().and_then(|ends| ends.iss))),
        ErrorKind::InvalidAudience => {
            TokenProblem::Audience(shown(ends().and_then(|ends| ends.aud)))
        }
        ErrorKind::InvalidAlgorithm => TokenProblem::Algorithm,
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => {
            TokenProblem::Claim(claim.clone())
        }
        // The claims are read after the signature: they are JSON of another shape.
        ErrorKind::Json(_) => TokenProblem::Claim("tid".to_owned()),
        _ => TokenProblem::Malformed,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
