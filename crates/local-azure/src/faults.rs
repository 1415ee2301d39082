//! The faults that are switched on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::apps::resolve_status::ResolveStatus;
use crate::call::ServiceCall;
use crate::fault::{Effect, Fault, RESOLVE};
use crate::service::Service;

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

    /// The faults that can still apply.
    pub(crate) fn all(&self) -> Vec<Fault> {
        self.lock()
            .iter()
            .filter(|fault| fault.is_active())
            .cloned()
            .collect()
    }

    /// The effects on a request, which is counted.
    pub(crate) fn of_request(&self, call: &ServiceCall) -> Vec<Effect> {
        self.apply(call.service, call.method.as_str(), &call.path)
    }

    /// Whether a request hangs that is not authenticated. It is counted then.
    pub(crate) fn swallow(&self, call: &ServiceCall) -> bool {
        let mut faults = self.lock();
        let fault = faults.iter_mut().find(|fault| {
            fault.hangs() && fault.matches(call.service, call.method.as_str(), &call.path)
        });
        fault.map(Fault::apply).is_some()
    }

    /// The forced status of a resolution of this reference, which is counted.
    pub(crate) fn of_reference(&self, path: &str) -> Option<ResolveStatus> {
        self.apply(Service::ResourceManager, RESOLVE, path)
            .into_iter()
            .find_map(|effect| match effect {
                Effect::ReferenceStatus { status } => Some(status),
                _ => None,
            })
    }

    fn apply(&self, service: Service, method: &str, path: &str) -> Vec<Effect> {
        let mut faults = self.lock();
        faults
            .iter_mut()
            .filter(|fault| fault.matches(service, method, path))
            .map(Fault::apply)
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
