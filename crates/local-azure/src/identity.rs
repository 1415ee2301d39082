//! Managed identities: the endpoint of App Service and the tokens that it issues.

mod access_token;
mod managed_identity;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

pub(crate) use managed_identity::ManagedIdentity;

use crate::azure_cloud::{Audience, AzureCloud};
use crate::call::ServiceCall;
use crate::response::{self, Response};
use crate::world::World;
use access_token::{TokenScope, access_token};

/// All identities and the tokens issued to them.
pub(crate) struct Identities {
    cloud: AzureCloud,
    tenant: String,
    token_lifetime: Duration,
    /// An identity that belongs to no app of the world.
    pub(crate) outsider: ManagedIdentity,
    /// The identities that may call the endpoint, by their header.
    by_header: HashMap<String, ManagedIdentity>,
    /// User-assigned identities by their Resource Manager ids in lower case.
    user_assigned: Vec<(String, ManagedIdentity)>,
    tokens: Mutex<HashMap<String, IssuedToken>>,
}

#[derive(Clone)]
struct IssuedToken {
    owner: String,
    audience: Audience,
    expires: Timestamp,
}

/// The reason that a token is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadToken {
    Missing,
    Unknown,
    Expired,
    WrongAudience,
}

/// The path of the identity endpoint.
pub(crate) const ENDPOINT_PATH: &str = "/msi/token";

/// The resource of tokens for blob storage.
pub(crate) const STORAGE: &str = "https://storage.azure.com/";

/// The version of the protocol with `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`.
const API_VERSION: &str = "2019-08-01";

/// A token for blob storage that only Azurite accepts, because no table lists it.
pub(crate) fn unlisted_storage_token() -> String {
    let scope = TokenScope {
        issuer: AzureCloud::default().issuer_host(),
        tenant: &Uuid::nil().to_string(),
        resource: STORAGE,
        issued: Timestamp::UNIX_EPOCH,
        expires: Timestamp::MAX,
    };
    access_token(&ManagedIdentity::new("azurite", ""), scope)
}

impl Identities {
    pub(crate) fn new<'a>(
        world: &World,
        of_apps: impl Iterator<Item = &'a ManagedIdentity>,
        token_lifetime: Duration,
    ) -> Self {
        let user_assigned_id = |group: &str, name: &str| {
            format!(
                "/subscriptions/{}/resourceGroups/{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}",
                world.subscription
            )
        };
        let outsider = ManagedIdentity::new("outsider", &user_assigned_id("local", "outsider"));
        let by_header = of_apps
            .cloned()
            .chain([outsider.clone()])
            .map(|it| (it.header.expose().to_owned(), it))
            .collect();
        let user_assigned = world.identities.iter().map(|it| {
            let id = user_assigned_id(&it.resource_group, &it.name);
            let identity = ManagedIdentity::new(&it.name, &id).with_client_id(&it.client_id);
            (id.to_lowercase(), identity)
        });
        Self {
            cloud: world.cloud,
            tenant: world.tenant.clone(),
            token_lifetime,
            outsider,
            by_header,
            user_assigned: user_assigned.collect(),
            tokens: Mutex::default(),
        }
    }

    /// The owner of the request's token, if the token is valid for the audience.
    pub(crate) fn owner(
        &self,
        call: &ServiceCall,
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
    pub(crate) fn named(&self, principal: &str) -> Option<String> {
        let user_assigned = self.user_assigned.iter().map(|(_, identity)| identity);
        let mut all = self.by_header.values().chain(user_assigned);
        all.find(|identity| identity.principal_id == principal)
            .map(|identity| identity.name.clone())
    }

    /// The object id of an identity by its name.
    pub(crate) fn principal_of(&self, name: &str) -> Option<&str> {
        let user_assigned = self.user_assigned.iter().map(|(_, identity)| identity);
        let mut all = self.by_header.values().chain(user_assigned);
        all.find(|identity| identity.name.eq_ignore_ascii_case(name))
            .map(|identity| identity.principal_id.as_str())
    }

    /// Revokes every issued token.
    pub(crate) fn revoke_all(&self) {
        self.lock().clear();
    }

    /// The identity that calls the endpoint, by its header.
    pub(crate) fn caller(&self, call: &ServiceCall) -> Option<&ManagedIdentity> {
        self.by_header.get(call.header("x-identity-header")?)
    }

    /// Executes a request to the endpoint.
    pub(crate) fn respond(&self, call: &ServiceCall, now: Timestamp) -> Response {
        match self.token(call, now) {
            Ok(response) => response,
            Err((status, message)) => {
                let correlation = Uuid::new_v4().to_string();
                let body = json!({ "statusCode": status.as_u16(), "message": message, "correlationId": correlation });
                response::json(status, &body)
            }
        }
    }

    fn token(
        &self,
        call: &ServiceCall,
        now: Timestamp,
    ) -> Result<Response, (StatusCode, &'static str)> {
        if call.path != ENDPOINT_PATH || call.method != Method::GET {
            return Err((StatusCode::NOT_FOUND, "There is only GET /msi/token."));
        }
        let system_assigned = self.caller(call).ok_or((
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
        let identity = self.requested(call, system_assigned).ok_or((
            StatusCode::BAD_REQUEST,
            "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
        ))?;
        let (token, expires) = self.issue_token(identity, resource, audience, now);
        let body = json!({
            "access_token": token,
            "expires_on": expires.as_second().to_string(),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": identity.client_id,
        });
        Ok(response::ok(&body))
    }

    /// Issues a token for a resource, which has this audience. Returns it with its expiry.
    pub(crate) fn issue_token(
        &self,
        owner: &ManagedIdentity,
        resource: &str,
        audience: Audience,
        now: Timestamp,
    ) -> (String, Timestamp) {
        let expires = now
            .checked_add(self.token_lifetime)
            .unwrap_or(Timestamp::MAX);
        let scope = TokenScope {
            issuer: self.cloud.issuer_host(),
            tenant: &self.tenant,
            resource,
            issued: now,
            expires,
        };
        let token = access_token(owner, scope);
        let issued = IssuedToken {
            owner: owner.name.clone(),
            audience,
            expires,
        };
        self.lock().insert(token.clone(), issued);
        (token, expires)
    }

    /// The identity that the query names, or else the app's own. The query may also name the app's
    /// own.
    fn requested<'a>(
        &'a self,
        call: &ServiceCall,
        system_assigned: &'a ManagedIdentity,
    ) -> Option<&'a ManagedIdentity> {
        let all =
            || std::iter::once(system_assigned).chain(self.user_assigned.iter().map(|(_, it)| it));
        if let Some(id) = call.query.get("client_id") {
            all().find(|it| it.client_id.eq_ignore_ascii_case(id))
        } else if let Some(id) = call.query.get("principal_id") {
            all().find(|it| it.principal_id.eq_ignore_ascii_case(id))
        } else if let Some(id) = call.query.get("mi_res_id") {
            self.user_assigned
                .iter()
                .find(|(it, _)| *it == id.to_lowercase())
                .map(|(_, it)| it)
        } else {
            Some(system_assigned)
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, IssuedToken>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
