//! Faults that can be switched on: what goes wrong, on which requests, how many times.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::answer::{self, Response};
use crate::apps::ResolveStatus;
use crate::call::Call;
use crate::hidden::Hidden;
use crate::requests::{self, Service};
use crate::storage;

/// Something that goes wrong on the requests it is for. As JSON:
/// `{"service":"resource-manager","method":"PUT","path":"config/appsettings","times":1,"effect":{"kind":"cut"}}`.
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

/// What goes wrong. Only requests with a good token are harmed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// The request is not carried out but answered with this error.
    Status {
        /// The HTTP status.
        status: u16,
        /// The error's code.
        code: String,
        /// Which of the two bodies it has.
        #[serde(default)]
        shape: ErrorShape,
        /// The header `Retry-After`, in seconds.
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// The request is carried out, its answer is late.
    Delay {
        /// How late.
        milliseconds: u64,
    },
    /// The request is accepted, not carried out, and never answered.
    Hang,
    /// The request is carried out, and the connection ends before the answer begins.
    Cut,
    /// The request is carried out, and the connection ends in the middle of the answer's body.
    HalfAnswer,
    /// A reference resolves to this status. `path` is for the reference's own path:
    /// `{app}/config/configreferences/appsettings/{setting}`. It counts when Azure resolves, not when somebody looks.
    ReferenceStatus {
        /// The status.
        status: ResolveStatus,
    },
    /// A write of settings is answered with 200 and the new set, and the app keeps the old one.
    LoseWrite,
    /// Somebody else writes this setting right after the settings were listed.
    Interfere {
        /// The setting's name.
        setting: String,
        /// The value it gets.
        value: Hidden,
    },
}

/// The two bodies in which Resource Manager's errors come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorShape {
    /// `{"error":{"code","message"}}`, which Key Vault uses too.
    #[default]
    Wrapped,
    /// `{"Code","Message","Target","Details"}`, as Microsoft.Web answers by itself.
    Unwrapped,
}

impl Fault {
    /// A fault for every request to a service, for ever.
    pub fn new(service: Service, effect: Effect) -> Self {
        Self {
            service,
            method: None,
            path: None,
            times: None,
            effect,
        }
    }

    /// Only for this method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self {
            method: Some(method.to_owned()),
            ..self
        }
    }

    /// Only for paths that contain this text, whatever its case.
    #[must_use]
    pub fn path(self, part: &str) -> Self {
        Self {
            path: Some(part.to_owned()),
            ..self
        }
    }

    /// Only for so many requests.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// The service that it is for.
    pub fn service(&self) -> Service {
        self.service
    }

    /// How often it can still strike. None: for ever.
    pub fn left(&self) -> Option<u32> {
        self.times
    }

    fn is_for(&self, service: Service, method: &str, path: &str) -> bool {
        self.service == service
            && self.times != Some(0)
            && self.effect.concerns(method, path)
            && requests::are_meant(self.method.as_deref(), self.path.as_deref(), method, path)
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

    /// Whether a request of this kind can be harmed this way.
    fn concerns(&self, method: &str, path: &str) -> bool {
        let ends_with = |end: &str| path.trim_end_matches('/').to_lowercase().ends_with(end);
        match self {
            Self::ReferenceStatus { .. } => method == RESOLVE,
            Self::LoseWrite => method == "PUT" && ends_with("/config/appsettings"),
            Self::Interfere { .. } => method == "POST" && ends_with("/config/appsettings/list"),
            _ => method != RESOLVE,
        }
    }

    /// The answer instead of the request's own, if that is what the effect is.
    pub(crate) fn answer(&self, service: Service) -> Option<Response> {
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
            _ if service == Service::Storage => storage::error(status, code, message),
            ErrorShape::Wrapped => answer::error(status, code, message),
            ErrorShape::Unwrapped => answer::unwrapped_error(status, code, message),
        };
        if let Some(seconds) = retry_after {
            answer::set_header(&mut response, "retry-after", &seconds.to_string());
        }
        Some(response)
    }
}

/// The method under which Azure's own resolving of a reference looks for its fault. No client can send it.
const RESOLVE: &str = "resolve";

/// The faults that are switched on.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn switch_on(&self, fault: Fault) {
        self.lock().push(fault);
    }

    pub(crate) fn switch_off(&self) {
        self.lock().clear();
    }

    /// The faults that can still strike.
    pub(crate) fn all(&self) -> Vec<Fault> {
        self.lock()
            .iter()
            .filter(|fault| fault.times != Some(0))
            .cloned()
            .collect()
    }

    /// What goes wrong with this request. Counts it.
    pub(crate) fn of(&self, call: &Call) -> Vec<Effect> {
        self.strike(call.service, call.method.as_str(), &call.path)
    }

    /// The status that resolving this reference is made to end with. Counts it.
    pub(crate) fn of_reference(&self, path: &str) -> Option<ResolveStatus> {
        self.strike(Service::ResourceManager, RESOLVE, path)
            .into_iter()
            .find_map(|effect| match effect {
                Effect::ReferenceStatus { status } => Some(status),
                _ => None,
            })
    }

    fn strike(&self, service: Service, method: &str, path: &str) -> Vec<Effect> {
        let mut faults = self.lock();
        let hit = faults
            .iter_mut()
            .filter(|fault| fault.is_for(service, method, path));
        hit.map(|fault| {
            fault.times = fault.times.map(|times| times - 1);
            fault.effect.clone()
        })
        .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
