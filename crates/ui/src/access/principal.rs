//! The users of App Service authentication, with Microsoft Entra: a header names the user, with the roles of
//! the app registration.
//!
//! App Service adds the header `X-MS-CLIENT-PRINCIPAL` to requests of users who are signed in, and removes one that
//! a client has sent. Without App Service authentication it removes nothing: then nobody is to be believed.
//! Source: Microsoft's "Work with user identities in Azure App Service authentication".

use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::{Authenticate, Authentication, Role, User};

/// The header, which holds JSON in base64.
const HEADER: &str = "x-ms-client-principal";

/// The largest header, in bytes. A user in 200 groups takes some 20 KB.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// The provider of Microsoft Entra.
const ENTRA: &str = "aad";

/// The claims with roles, beside the one that the header itself names.
const ROLES: [&str; 2] = [
    "roles",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
];

/// The claims with the id of the user, which never changes.
const IDS: [&str; 2] = [
    "http://schemas.microsoft.com/identity/claims/objectidentifier",
    "oid",
];

/// The claims with a name of the user that is unique in the tenant.
const NAMES: [&str; 2] = ["preferred_username", "upn"];

/// Authentication by App Service. The roles are `reader` and `operator`.
#[derive(Debug)]
pub struct AppServiceAuthentication {
    is_on: bool,
}

/// The header, parsed.
#[derive(Deserialize)]
struct Principal {
    auth_typ: String,
    #[serde(default)]
    name_typ: String,
    #[serde(default)]
    role_typ: String,
    claims: Vec<Claim>,
}

#[derive(Deserialize)]
struct Claim {
    typ: String,
    val: String,
}

impl AppServiceAuthentication {
    /// Authentication in an app in which App Service authentication is on, or not. If it is not, all requests are
    /// refused.
    pub fn new(is_on: bool) -> Self {
        Self { is_on }
    }
}

impl Authenticate for AppServiceAuthentication {
    fn authenticate(&self, request: &Parts) -> Authentication {
        if !self.is_on {
            return refused(
                StatusCode::FORBIDDEN,
                "App Service authentication is off: keyrelay cannot know who you are.",
            );
        }
        let mut headers = request.headers.get_all(HEADER).iter();
        let (Some(header), None) = (headers.next(), headers.next()) else {
            return refused(StatusCode::UNAUTHORIZED, "Sign in with Microsoft Entra.");
        };
        match user_of(header.as_bytes()) {
            Ok(user) => Authentication::User(user),
            Err(message) => refused(StatusCode::FORBIDDEN, message),
        }
    }
}

/// The user that a header names. The error is a sentence for the person in front of the browser.
fn user_of(header: &[u8]) -> Result<User, &'static str> {
    const UNREADABLE: &str = "The sign-in cannot be read.";
    if header.len() > MAX_HEADER_BYTES {
        return Err("The sign-in is too large: too many groups are in its token.");
    }
    let decoded = BASE64_STANDARD.decode(header).map_err(|_| UNREADABLE)?;
    let principal: Principal = serde_json::from_slice(&decoded).map_err(|_| UNREADABLE)?;
    if principal.auth_typ != ENTRA {
        return Err("Sign in with Microsoft Entra: other providers have no roles here.");
    }
    let first = |names: &[&str]| {
        let of_name = |name: &&str| {
            let claim = principal.claims.iter().find(|claim| claim.typ == *name);
            claim.map(|claim| claim.val.clone())
        };
        let mut found = names.iter().filter_map(of_name);
        found.find(|value| !value.is_empty())
    };
    let id = first(&IDS).ok_or("The sign-in does not name the user's object id.")?;
    // A display name is not unique, and the user can change it.
    let with_id = |name: String| format!("{name} ({id})");
    let name = first(&NAMES).or_else(|| first(&["name", &principal.name_typ]).map(with_id));
    let is_role = |claim: &&Claim| {
        ROLES.contains(&claim.typ.as_str())
            || (!principal.role_typ.is_empty() && claim.typ == principal.role_typ)
    };
    let roles = principal.claims.iter().filter(is_role);
    let roles: Vec<&str> = roles.map(|claim| claim.val.as_str()).collect();
    let role = if roles.contains(&"operator") {
        Role::Operator
    } else if roles.contains(&"reader") {
        Role::Reader
    } else {
        return Err(
            "You have no role here: ask for `reader` or `operator` of the app registration.",
        );
    };
    Ok(User {
        name: name.unwrap_or_else(|| id.clone()),
        role,
        session: id,
    })
}

fn refused(status: StatusCode, message: &str) -> Authentication {
    Authentication::Refused {
        status,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn header(auth: &str, claims: &[(&str, &str)]) -> String {
        let claims: Vec<Value> = claims
            .iter()
            .map(|(typ, val)| json!({ "typ": typ, "val": val }))
            .collect();
        let principal =
            json!({ "auth_typ": auth, "name_typ": "n", "role_typ": "r", "claims": claims });
        BASE64_STANDARD.encode(principal.to_string())
    }

    /// The name and the role, or the reason of the refusal.
    fn user(header: &str) -> Result<(String, Role), &'static str> {
        user_of(header.as_bytes()).map(|user| (user.name, user.role))
    }

    #[test]
    fn a_user_has_a_name_and_the_highest_role() {
        let long = ROLES[1];
        let ada = [("oid", "1"), ("preferred_username", "ada@contoso.example")];
        let with = |roles: &[(&str, &str)]| user(&header(ENTRA, &[&ada[..], roles].concat()));
        let ada = |role| Ok(("ada@contoso.example".to_owned(), role));
        assert_eq!(with(&[("roles", "reader")]), ada(Role::Reader));
        assert_eq!(with(&[("r", "operator")]), ada(Role::Operator));
        assert_eq!(
            with(&[(long, "reader"), (long, "operator")]),
            ada(Role::Operator)
        );
        assert_eq!(
            user(&header(ENTRA, &[(IDS[0], "7"), ("roles", "reader")])),
            Ok(("7".to_owned(), Role::Reader))
        );
    }

    #[test]
    fn a_user_without_a_role_or_an_id_is_refused() {
        for claims in [
            &[("oid", "1")][..],
            &[("oid", "1"), ("roles", "Operator")],
            &[("oid", "1"), ("roles", "owner")],
            &[("oid", "1"), ("groups", "operator")],
            &[("oid", ""), ("roles", "operator")],
            &[("roles", "operator")],
        ] {
            assert!(user(&header(ENTRA, claims)).is_err(), "{claims:?}");
        }
        let claims = [("oid", "1"), ("roles", "operator")];
        assert!(user(&header("github", &claims)).is_err());
    }

    #[test]
    fn what_is_no_principal_is_refused() {
        let huge = "A".repeat(MAX_HEADER_BYTES + 4);
        let number = BASE64_STANDARD.encode("7");
        let no_claims = BASE64_STANDARD.encode("{\"auth_typ\":\"aad\"}");
        for header in ["", "?", "e30", "e30=", &number, &no_claims, &huge] {
            assert!(user(header).is_err(), "{:?}", header.get(..10));
        }
    }

    #[test]
    fn nobody_is_believed_without_app_service_authentication_or_with_two_headers() {
        let signed_in = header(ENTRA, &[("oid", "1"), ("roles", "operator")]);
        let status = |is_on, headers: &[&str]| {
            let mut request = axum::http::Request::builder();
            for value in headers {
                request = request.header(HEADER, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            match AppServiceAuthentication::new(is_on).authenticate(&parts) {
                Authentication::Refused { status, .. } => status.as_u16(),
                _ => 200,
            }
        };
        assert_eq!(status(true, &[&signed_in]), 200);
        assert_eq!(status(false, &[&signed_in]), 403);
        assert_eq!(status(true, &[]), 401);
        assert_eq!(status(true, &[&signed_in, &signed_in]), 401);
        assert_eq!(status(true, &["?"]), 403);
    }
}
