//! Managed identities: who there is, the endpoint that App Service gives them, and the tokens it handed out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::answer::{self, Response};
use crate::apps::Apps;
use crate::azure_cloud::{Audience, AzureCloud};
use crate::call::Call;
use crate::hidden::Hidden;
use crate::world::World;

/// An identity: of an app, or a resource of its own.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// `site`, `site/slot`, or the name of a user-assigned identity.
    pub(crate) name: String,
    pub(crate) principal_id: String,
    client_id: String,
    /// What an app proves with that it is the app: `IDENTITY_HEADER`.
    pub(crate) header: Hidden,
}

impl Identity {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            principal_id: Uuid::new_v4().to_string(),
            client_id: Uuid::new_v4().to_string(),
            header: Uuid::new_v4().simple().to_string().into(),
        }
    }
}

/// Everybody who can get a token, and all tokens.
pub(crate) struct Identities {
    cloud: AzureCloud,
    token_lifetime: Duration,
    /// Somebody who is no app of the world.
    pub(crate) outsider: Identity,
    /// Who can ask the endpoint, by the header.
    by_header: HashMap<String, Identity>,
    /// User-assigned identities by their Resource Manager ids in lower case.
    user_assigned: Vec<(String, Identity)>,
    tokens: Mutex<HashMap<String, Token>>,
}

#[derive(Clone)]
struct Token {
    owner: String,
    audience: Audience,
    expires: Timestamp,
}

/// A token for blob storage. Azurite looks at the claims and not at the signature.
pub(crate) fn storage_token(expires: Timestamp) -> String {
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
        "iat": 0,
        "nbf": 0,
        "exp": expires.as_second(),
        // No two tokens are the same.
        "uti": Uuid::new_v4().to_string(),
    });
    format!(
        "{}.{}.{}",
        part(&json!({ "alg": "none", "typ": "JWT" })),
        part(&claims),
        URL_SAFE_NO_PAD.encode("unsigned")
    )
}

/// Why a request has no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadToken {
    Missing,
    Unknown,
    Expired,
    WrongAudience,
}

/// The path of the endpoint.
pub(crate) const ENDPOINT_PATH: &str = "/msi/token";

/// The version of the endpoint's protocol that has `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`.
const API_VERSION: &str = "2019-08-01";

impl Identities {
    pub(crate) fn new(world: &World, apps: &Apps, token_lifetime: Duration) -> Self {
        let outsider = Identity::new("outsider");
        let asking = apps
            .iter()
            .filter_map(|app| app.identity.as_ref())
            .chain([&outsider]);
        let by_header = asking
            .map(|it| (it.header.expose().to_owned(), it.clone()))
            .collect();
        let user_assigned = world.identities.iter().map(|it| {
            let id = format!(
                "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{}",
                world.subscription, it.resource_group, it.name
            );
            (id.to_lowercase(), Identity { client_id: it.client_id.clone(), ..Identity::new(&it.name) })
        });
        Self {
            cloud: world.cloud,
            token_lifetime,
            outsider,
            by_header,
            user_assigned: user_assigned.collect(),
            tokens: Mutex::default(),
        }
    }

    /// Whose token this is, if it is good for the audience.
    pub(crate) fn owner(
        &self,
        call: &Call,
        audience: Audience,
        now: Timestamp,
    ) -> Result<String, BadToken> {
        let authorization = call.header("authorization").ok_or(BadToken::Missing)?;
        let (scheme, token) = authorization.split_once(' ').ok_or(BadToken::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(BadToken::Missing);
        }
        let token = self
            .lock()
            .get(token.trim())
            .cloned()
            .ok_or(BadToken::Unknown)?;
        if token.expires <= now {
            Err(BadToken::Expired)
        } else if token.audience != audience {
            Err(BadToken::WrongAudience)
        } else {
            Ok(token.owner)
        }
    }

    /// The name of the identity with this object id.
    pub(crate) fn named(&self, apps: &Apps, principal: &str) -> Option<String> {
        let assigned = self.user_assigned.iter().map(|(_, identity)| identity);
        let mut all = apps
            .iter()
            .filter_map(|app| app.identity.as_ref())
            .chain(assigned)
            .chain([&self.outsider]);
        all.find(|identity| identity.principal_id == principal)
            .map(|identity| identity.name.clone())
    }

    /// Makes every token that was handed out unknown.
    pub(crate) fn revoke_all(&self) {
        self.lock().clear();
    }

    /// The app that asks the endpoint, if it knows its header.
    pub(crate) fn asking(&self, call: &Call) -> Option<&Identity> {
        self.by_header.get(call.header("x-identity-header")?)
    }

    /// Answers what arrives at the endpoint.
    pub(crate) fn answer(&self, call: &Call, now: Timestamp) -> Response {
        match self.token(call, now) {
            Ok(response) => response,
            Err((status, message)) => {
                let correlation = Uuid::new_v4().to_string();
                let body = json!({ "statusCode": status.as_u16(), "message": message, "correlationId": correlation });
                answer::json(status, &body)
            }
        }
    }

    fn token(&self, call: &Call, now: Timestamp) -> Result<Response, (StatusCode, &'static str)> {
        if call.path != ENDPOINT_PATH || call.method != Method::GET {
            return Err((StatusCode::NOT_FOUND, "There is only GET /msi/token."));
        }
        let system_assigned = self.asking(call).ok_or((
            StatusCode::UNAUTHORIZED,
            "The header X-IDENTITY-HEADER is missing or wrong.",
        ))?;
        if call.query.get("api-version") != Some(API_VERSION) {
            return Err((
                StatusCode::BAD_REQUEST,
                "The api-version is missing or not supported.",
            ));
        }
        let resource = call.query.get("resource").unwrap_or_default();
        let audience = self.cloud.audience(resource).ok_or((
            StatusCode::BAD_REQUEST,
            "The resource is missing or not known.",
        ))?;
        let identity = self.wanted(call, system_assigned).ok_or((
            StatusCode::BAD_REQUEST,
            "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
        ))?;
        let (token, expires) = self.make_token(&identity.name, audience, now);
        let body = json!({
            "access_token": token,
            "expires_on": expires.as_second().to_string(),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": identity.client_id,
        });
        Ok(answer::ok(&body))
    }

    /// Makes a token and remembers it. Returns it with the end of its time.
    pub(crate) fn make_token(
        &self,
        owner: &str,
        audience: Audience,
        now: Timestamp,
    ) -> (String, Timestamp) {
        let expires = now
            .checked_add(self.token_lifetime)
            .unwrap_or(Timestamp::MAX);
        let token = match audience {
            Audience::Storage => storage_token(expires),
            _ => format!(
                "local.{}{}",
                Uuid::new_v4().simple(),
                Uuid::new_v4().simple()
            ),
        };
        self.lock().insert(
            token.clone(),
            Token {
                owner: owner.to_owned(),
                audience,
                expires,
            },
        );
        (token, expires)
    }

    /// The identity that the query names; without a name, the app's own. Its own may be named, too.
    fn wanted<'a>(&'a self, call: &Call, system_assigned: &'a Identity) -> Option<&'a Identity> {
        let everybody =
            || std::iter::once(system_assigned).chain(self.user_assigned.iter().map(|(_, it)| it));
        if let Some(id) = call.query.get("client_id") {
            everybody().find(|it| it.client_id.eq_ignore_ascii_case(id))
        } else if let Some(id) = call.query.get("principal_id") {
            everybody().find(|it| it.principal_id.eq_ignore_ascii_case(id))
        } else if let Some(id) = call.query.get("mi_res_id") {
            self.user_assigned
                .iter()
                .find(|(it, _)| *it == id.to_lowercase())
                .map(|(_, it)| it)
        } else {
            Some(system_assigned)
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
