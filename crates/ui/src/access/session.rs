//! The session of one process: a random token in the address that the command prints, which the
//! browser exchanges for a cookie.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use url::form_urlencoded;

use super::{Authenticate, Authentication, Role, User};

/// The name of the parameter with the token.
const PARAMETER: &str = "token";

/// The session of one process. Its user is the one who has started it.
///
/// The cookie has another value than the token, so that the address in the browser's history opens no
/// session once the process has ended, and the cookie tells nobody the address.
#[derive(Clone)]
pub struct SessionToken {
    token: String,
    session: String,
    cookie: String,
    user: String,
}

impl SessionToken {
    /// Makes a session for the pages on a port of this machine. None: the system has no random
    /// numbers.
    pub fn random(user: &str, port: u16) -> Option<Self> {
        Some(Self {
            token: random_text()?,
            session: random_text()?,
            // Cookies are sent to all ports of a host.
            cookie: format!("keyrelay-{port}"),
            user: user.to_owned(),
        })
    }

    /// The path and query with the token, for the address that the user opens.
    pub fn path(&self) -> String {
        format!("/?{PARAMETER}={}", self.token)
    }

    fn is_in_cookies(&self, request: &Parts) -> bool {
        let headers = request.headers.get_all(COOKIE).into_iter();
        let texts = headers.filter_map(|value| value.to_str().ok());
        let mut cookies = texts.flat_map(|text| text.split(';'));
        cookies.any(|cookie| {
            let pair = cookie.trim().split_once('=');
            pair.is_some_and(|(name, value)| name == self.cookie && is_same(value, &self.session))
        })
    }
}

impl Authenticate for SessionToken {
    fn authenticate(&self, request: &Parts) -> Authentication {
        let query = request.uri.query().unwrap_or_default();
        let pairs = || form_urlencoded::parse(query.as_bytes());
        let given = pairs().find(|(name, _)| name == PARAMETER);
        if let Some((_, given)) = given {
            if !is_same(&given, &self.token) {
                return refused(
                    StatusCode::FORBIDDEN,
                    "This is the address of another session.",
                );
            }
            let cookie = format!(
                "{}={}; HttpOnly; SameSite=Strict; Path=/",
                self.cookie, self.session
            );
            let rest = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pairs().filter(|(name, _)| name != PARAMETER))
                .finish();
            let path = request.uri.path();
            return match HeaderValue::from_str(&cookie) {
                Ok(cookie) => Authentication::Begun {
                    cookie,
                    location: match rest.is_empty() {
                        true => path.to_owned(),
                        false => format!("{path}?{rest}"),
                    },
                },
                Err(_) => refused(StatusCode::FORBIDDEN, "The session has no cookie."),
            };
        }
        if self.is_in_cookies(request) {
            return Authentication::User(User {
                name: self.user.clone(),
                role: Role::Operator,
                session: self.session.clone(),
            });
        }
        refused(StatusCode::UNAUTHORIZED, "There is no session here.")
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SessionToken");
        shown.field("user", &self.user).finish_non_exhaustive()
    }
}

fn refused(status: StatusCode, reason: &str) -> Authentication {
    let advice =
        "Open the address that `keyrelay ui` has printed: it has the token of the session.";
    Authentication::Refused {
        status,
        message: format!("{reason} {advice}"),
    }
}

/// Whether two texts are the same. It takes the same time for all texts of one length.
fn is_same(given: &str, expected: &str) -> bool {
    verify_slices_are_equal(given.as_bytes(), expected.as_bytes()).is_ok()
}

fn random_text() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(uri: &str, cookie: &str) -> Parts {
        let request = Request::builder().uri(uri).header(COOKIE, cookie);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_token_is_exchanged_for_a_cookie_and_leaves_the_address() {
        let session = SessionToken::random("ada", 7).unwrap();
        let uri = format!("/fleet?state=broken&token={}&q=a+b", session.token);
        let Authentication::Begun { cookie, location } = session.authenticate(&parts(&uri, ""))
        else {
            panic!("no session");
        };
        assert_eq!(location, "/fleet?state=broken&q=a+b");
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"));
        assert!(!cookie.contains(&session.token));
        let pair = cookie.split(';').next().unwrap();
        let authentication = session.authenticate(&parts("/", &format!("other=1; {pair}")));
        let Authentication::User(user) = authentication else {
            panic!("no user");
        };
        assert_eq!((user.name.as_str(), user.role), ("ada", Role::Operator));
    }

    #[test]
    fn a_request_without_the_cookie_or_with_another_token_is_refused() {
        let session = SessionToken::random("ada", 7).unwrap();
        let status = |uri: &str, cookie: &str| match session.authenticate(&parts(uri, cookie)) {
            Authentication::Refused { status, .. } => status.as_u16(),
            other => panic!("{other:?}"),
        };
        assert_eq!(status("/", ""), 401);
        assert_eq!(status("/", "keyrelay-7=x; keyrelay-8"), 401);
        assert_eq!(status("/", &format!("keyrelay-8={}", session.session)), 401);
        assert_eq!(status("/?token=", ""), 403);
        assert_eq!(status(&format!("/?token={}", session.session), ""), 403);
        assert!(!format!("{session:?}").contains(&session.session));
    }
}
