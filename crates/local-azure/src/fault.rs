//! Faults: an effect, the requests that it applies to, and a count.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::apps::resolve_status::ResolveStatus;
use crate::hidden::Hidden;
use crate::request_filter;
use crate::response::{self, Response};
use crate::service::Service;

/// A fault on the requests that it matches. As JSON:
///
/// ```json
/// {"service": "resource-manager", "method": "PUT", "path": "config/appsettings", "times": 1,
///  "effect": {"kind": "cut"}}
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    service: Service,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    times: Option<u32>,
    effect: Effect,
}

/// The effect of a fault. Only requests with a valid token are affected, except by `Hang`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// The request fails with this error and is not executed.
    Status {
        /// The HTTP status.
        status: u16,
        /// The error code.
        code: String,
        /// The form of the body.
        #[serde(default)]
        shape: ErrorShape,
        /// The header `Retry-After`, in seconds.
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// The request is executed, and its response is delayed.
    Delay {
        /// The delay.
        milliseconds: u64,
    },
    /// The request is accepted, not executed, and gets no response. A request without a valid token
    /// hangs, too: without a method and a path the whole service is unreachable.
    Hang,
    /// The request is executed, and the connection is cut before the response.
    Cut,
    /// The request is executed, and the connection is cut halfway through the body of the response.
    #[serde(alias = "half-answer")]
    HalfResponse,
    /// A reference resolves to this status. `path` matches the path of the reference:
    /// `{app}/config/configreferences/appsettings/{setting}`, or
    /// `{app}/config/configreferences/connectionstrings/{name}`. The fault is counted when Azure
    /// resolves the reference, not when a client reads it.
    ReferenceStatus {
        /// The status.
        status: ResolveStatus,
    },
    /// A write of settings or connection strings gets 200 and the new ones as its response, and the
    /// app keeps the old ones.
    LoseWrite,
    /// A list has only its first rows and no link to the next page. As JSON:
    /// `{"kind": "partial-list", "keep": 3}`. It applies to the lists of Resource Manager and Key
    /// Vault.
    PartialList {
        /// The number of rows.
        keep: usize,
    },
    /// Another writer changes this setting right after the settings were listed.
    Interfere {
        /// The setting's name.
        setting: String,
        /// The new value.
        value: Hidden,
    },
}

/// The form of an error body of Resource Manager.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorShape {
    /// `{"error":{"code","message"}}`, also used by Key Vault.
    #[default]
    Wrapped,
    /// `{"Code","Message","Target","Details"}`, used by Microsoft.Web.
    Unwrapped,
}

impl Fault {
    /// A fault on every request to a service, without a limit.
    pub fn new(service: Service, effect: Effect) -> Self {
        Self {
            service,
            method: None,
            path: None,
            times: None,
            effect,
        }
    }

    /// Limits the fault to this method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self {
            method: Some(method.to_owned()),
            ..self
        }
    }

    /// Limits the fault to paths that contain this text, or end with it if it ends with `$`, compared
    /// case-insensitively.
    #[must_use]
    pub fn path(self, part: &str) -> Self {
        Self {
            path: Some(part.to_owned()),
            ..self
        }
    }

    /// Limits the fault to this number of requests.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// The service that the fault applies to.
    pub fn service(&self) -> Service {
        self.service
    }

    /// The number of requests that the fault still applies to. `None` means no limit.
    pub fn left(&self) -> Option<u32> {
        self.times
    }

    /// Whether the fault can still apply to a request.
    pub(crate) fn is_active(&self) -> bool {
        self.times != Some(0)
    }

    /// Counts one request and returns the effect on it.
    pub(crate) fn apply(&mut self) -> Effect {
        self.times = self.times.map(|times| times.saturating_sub(1));
        self.effect.clone()
    }

    /// Whether the fault makes requests hang.
    pub(crate) fn hangs(&self) -> bool {
        matches!(self.effect, Effect::Hang)
    }

    /// Whether the fault applies to a request.
    pub(crate) fn matches(&self, service: Service, method: &str, path: &str) -> bool {
        self.service == service
            && self.is_active()
            && self.effect.applies_to(method, path)
            && request_filter::matches(self.method.as_deref(), self.path.as_deref(), method, path)
    }
}

impl Effect {
    /// An error status with the wrapped body.
    pub fn status(status: u16, code: &str) -> Self {
        Self::Status {
            status,
            code: code.to_owned(),
            shape: ErrorShape::Wrapped,
            retry_after: None,
        }
    }

    /// Whether the effect is possible on a request of this kind.
    fn applies_to(&self, method: &str, path: &str) -> bool {
        let ends_with = |end: &str| path.trim_end_matches('/').to_lowercase().ends_with(end);
        match self {
            Self::ReferenceStatus { .. } => method == RESOLVE,
            Self::LoseWrite => {
                method == "PUT"
                    && (ends_with("/config/appsettings") || ends_with("/config/connectionstrings"))
            }
            Self::PartialList { .. } => method == "GET" && LISTS.iter().any(|end| ends_with(end)),
            Self::Interfere { .. } => method == "POST" && ends_with("/config/appsettings/list"),
            _ => method != RESOLVE,
        }
    }

    /// The error response of the effect, if it has one.
    pub(crate) fn response(&self, service: Service) -> Option<Response> {
        let Self::Status {
            status,
            code,
            shape,
            retry_after,
        } = self
        else {
            return None;
        };
        let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let message = "A fault is switched on.";
        let mut response = match shape {
            _ if service == Service::Storage => response::storage_error(status, code, message),
            ErrorShape::Wrapped => response::error(status, code, message),
            ErrorShape::Unwrapped => response::unwrapped_error(status, code, message),
        };
        if let Some(seconds) = retry_after {
            response::set_header(&mut response, "retry-after", &seconds.to_string());
        }
        Some(response)
    }
}

/// The ends of the paths of lists.
const LISTS: [&str; 9] = [
    "/sites",
    "/slots",
    "/configreferences/appsettings",
    "/configreferences/connectionstrings",
    "/systemtopics",
    "/eventsubscriptions",
    "/secrets",
    "/versions",
    "/deletedsecrets",
];

/// The pseudo-method of a resolution of a reference by Azure. No client sends it.
pub(crate) const RESOLVE: &str = "resolve";

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn reads_the_former_name_of_half_response() {
        let fault = json!({ "service": "storage", "effect": { "kind": "half-answer" } });
        let fault: Fault = from_value(fault).unwrap();
        assert!(matches!(fault.effect, Effect::HalfResponse));
    }
}
