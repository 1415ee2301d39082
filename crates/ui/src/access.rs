//! Access: the user behind a request, and the hosts under which the pages are served.

mod csrf;
mod principal;
mod session;
mod stored_key;

use std::fmt;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};

pub use csrf::CsrfKey;
pub use principal::AppServiceAuthentication;
pub use session::SessionToken;
pub use stored_key::KeyError;

/// The access to the pages: its hosts, its users, and what they may do.
#[derive(Debug, Clone)]
pub struct AccessControl {
    pub(crate) hosts: Vec<String>,
    pub(crate) authentication: Arc<dyn Authenticate>,
    pub(crate) csrf: CsrfKey,
    pub(crate) is_read_only: bool,
    pub(crate) base: String,
}

/// The authentication of requests.
///
/// A session token is one implementation. In a function app, the header of App Service
/// authentication with its roles is another one.
pub trait Authenticate: fmt::Debug + Send + Sync {
    /// Authenticates a request by its head.
    fn authenticate(&self, request: &Parts) -> Authentication;
}

/// The result of authentication.
#[derive(Debug)]
pub enum Authentication {
    /// The request is that of this user.
    User(User),
    /// The request has begun a session. The browser gets the cookie, and requests the location.
    Begun {
        /// The value of `Set-Cookie`.
        cookie: HeaderValue,
        /// A path with its query, without what has begun the session.
        location: String,
    },
    /// The request is that of nobody who is known.
    Refused {
        /// 401 or 403.
        status: StatusCode,
        /// One sentence for the person in front of the browser.
        message: String,
    },
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name in the record of actions.
    pub name: String,
    /// The role.
    pub role: Role,
    /// The session, or the user's id if there are no sessions. Forms are bound to it.
    pub session: String,
}

/// The role of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads all pages.
    Reader,
    /// Also carries out actions.
    Operator,
}

impl AccessControl {
    /// Access for the users of an authentication, under these values of the header `Host`.
    pub fn new(
        hosts: impl IntoIterator<Item = String>,
        authentication: Arc<dyn Authenticate>,
        csrf: CsrfKey,
    ) -> Self {
        Self {
            hosts: hosts.into_iter().map(|host| host.to_lowercase()).collect(),
            authentication,
            csrf,
            is_read_only: false,
            base: String::new(),
        }
    }

    /// The same access without actions, for all roles.
    #[must_use]
    pub fn read_only(self, is_read_only: bool) -> Self {
        Self {
            is_read_only,
            ..self
        }
    }

    /// The same access to pages below a path like `/ui`. The caller nests the router there.
    #[must_use]
    pub fn mounted_at(self, path: &str) -> Self {
        Self {
            base: path.trim_end_matches('/').to_owned(),
            ..self
        }
    }

    pub(crate) fn is_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|it| it.eq_ignore_ascii_case(host))
    }

    pub(crate) fn may_act(&self, user: &User) -> bool {
        !self.is_read_only && user.role == Role::Operator
    }
}
