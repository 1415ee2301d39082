//! The checks that every request passes: host, user, and for an action origin. The headers of every
//! response.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, LOCATION, ORIGIN, REFERRER_POLICY,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::{AccessControl, Authentication};
use crate::failure::PageFailure;
use crate::links::Links;
use crate::page;
use crate::sources::Sources;
use crate::visit::Visit;

/// Everything comes from here, and nothing is inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Not `no-referrer`: the browser would send `Origin: null` with our own forms.
const REFERRER: &str = "same-origin";

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The state of the guard.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) sources: Arc<Sources>,
    pub(crate) access: AccessControl,
}

/// Lets a request pass to its page, or responds to it.
pub(crate) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let is_asset = request.uri().path().starts_with("/assets/");
    let mut response = match guard.admit(request) {
        Ok((visit, request)) => {
            let response = next.run(request).await;
            match response.extensions().get::<PageFailure>() {
                Some(failure) => page::failed(&visit, failure),
                None => response,
            }
        }
        Err(response) => *response,
    };
    let keeps = is_asset && response.status().is_success();
    add_headers(response.headers_mut(), keeps);
    response
}

impl Guard {
    fn admit(&self, request: Request) -> Result<(Visit, Request), Box<Response>> {
        let (parts, body) = request.into_parts();
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let Some(host) = host.filter(|host| self.access.is_host(host)) else {
            let message = "This is not an address of keyrelay: open the one that it has printed.";
            return Err(plain(StatusCode::FORBIDDEN, message));
        };
        let is_action = !matches!(parts.method, Method::GET | Method::HEAD);
        if is_action && !is_same_origin(&parts.headers, host) {
            let message = "The form is not of this page. Nothing was done.";
            return Err(plain(StatusCode::FORBIDDEN, message));
        }
        let user = match self.access.authentication.authenticate(&parts) {
            Authentication::User(user) => user,
            Authentication::Begun { cookie, location } => {
                let location = format!("{}{location}", self.access.base);
                let mut response = StatusCode::SEE_OTHER.into_response();
                let headers = response.headers_mut();
                headers.insert(SET_COOKIE, cookie);
                let location = HeaderValue::from_str(&location);
                headers.insert(LOCATION, location.unwrap_or(HeaderValue::from_static("/")));
                return Err(Box::new(response));
            }
            Authentication::Refused { status, message } => return Err(plain(status, &message)),
        };
        let form_token = self.access.may_act(&user);
        let form_token = form_token.then(|| self.access.csrf.token(&user.session));
        if is_action && form_token.is_none() {
            let message = "These pages are read-only for you. Nothing was done.";
            return Err(plain(StatusCode::FORBIDDEN, message));
        }
        let visit = Visit {
            sources: Arc::clone(&self.sources),
            links: Links::new(&self.access.base),
            user,
            form_token,
        };
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(visit.clone());
        request.extensions_mut().insert(self.access.csrf.clone());
        Ok((visit, request))
    }
}

/// Whether a browser says that a form is of this site. At least one of its headers has to say so, and
/// none may say otherwise.
fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    let text = |name| headers.get(name).map(HeaderValue::to_str);
    let is_site = text(SITE).map(|site| site.is_ok_and(|site| site == "same-origin"));
    let is_origin = text(ORIGIN).map(|origin| {
        let scheme_and_host = origin.ok().and_then(|origin| origin.split_once("://"));
        scheme_and_host.is_some_and(|(scheme, of)| {
            matches!(scheme, "http" | "https") && of.eq_ignore_ascii_case(host)
        })
    });
    let says = [is_site, is_origin];
    says.contains(&Some(true)) && !says.contains(&Some(false))
}

fn plain(status: StatusCode, message: &str) -> Box<Response> {
    Box::new((status, format!("{message}\n")).into_response())
}

fn add_headers(headers: &mut HeaderMap, keeps: bool) {
    let cache = match keeps {
        // Their addresses have their digests.
        true => "private, max-age=86400, immutable",
        false => "no-store",
    };
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, REFERRER),
        (CACHE_CONTROL, cache),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(site: Option<&'static str>, origin: Option<&'static str>, expected: bool) {
        let mut headers = HeaderMap::new();
        if let Some(site) = site {
            headers.insert(SITE, HeaderValue::from_static(site));
        }
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        let is_same = is_same_origin(&headers, "127.0.0.1:7070");
        assert_eq!(is_same, expected, "{site:?} {origin:?}");
    }

    #[test]
    fn a_form_is_of_this_site_if_the_browser_says_so() {
        let ours = Some("http://127.0.0.1:7070");
        check(Some("same-origin"), ours, true);
        check(Some("same-origin"), None, true);
        check(None, ours, true);
    }

    #[test]
    fn a_form_of_another_site_or_of_nobody_is_refused() {
        let ours = Some("http://127.0.0.1:7070");
        check(None, None, false);
        check(Some("cross-site"), ours, false);
        check(Some("same-site"), ours, false);
        check(Some("none"), None, false);
        for other in [
            "http://127.0.0.1:7071",
            "http://evil.example",
            "null",
            "file://127.0.0.1:7070",
        ] {
            check(Some("same-origin"), Some(other), false);
            check(None, Some(other), false);
        }
    }
}
