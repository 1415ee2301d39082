//! Interceptions: actions of a test at an exact moment of a request, such as a kill of the client
//! or a concurrent write.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::call::ServiceCall;
use crate::request_filter;
use crate::service::Service;

/// The request and the moment of an interception.
#[derive(Debug, Clone)]
pub struct Intercept {
    service: Service,
    moment: Moment,
    method: Option<String>,
    path: Option<String>,
    nth: usize,
}

/// A moment in the execution of a request with a valid token. Other requests are rejected before
/// any moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The request has been read and not executed. Faults apply after this.
    Arrived,
    /// The request has been executed, and no response has been sent. A request that a fault fails
    /// or hangs never reaches this moment.
    CarriedOut,
}

/// The continuation of an intercepted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Continues normally. The request is executed even if its client is gone.
    GoOn,
    /// Cuts the connection and stops the request.
    Drop,
}

/// A handle to an interception. Clones refer to the same interception.
#[derive(Debug, Clone)]
pub struct Interception(watch::Receiver<bool>);

impl Intercept {
    /// Intercepts the first request to a service.
    pub fn new(service: Service, moment: Moment) -> Self {
        Self {
            service,
            moment,
            method: None,
            path: None,
            nth: 1,
        }
    }

    /// Limits the interception to this method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self {
            method: Some(method.to_owned()),
            ..self
        }
    }

    /// Limits the interception to paths that contain this text, compared case-insensitively.
    #[must_use]
    pub fn path(self, part: &str) -> Self {
        Self {
            path: Some(part.to_owned()),
            ..self
        }
    }

    /// Intercepts the `nth` matching request from now on, counted from 1 in the order in which they
    /// reach the moment.
    #[must_use]
    pub fn nth(self, nth: usize) -> Self {
        Self { nth, ..self }
    }

    fn matches(&self, moment: Moment, call: &ServiceCall) -> bool {
        self.moment == moment
            && self.service == call.service
            && request_filter::matches(
                self.method.as_deref(),
                self.path.as_deref(),
                call.method.as_str(),
                &call.path,
            )
    }
}

impl Interception {
    /// Whether the request arrived and the action has completed.
    pub fn has_struck(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the action has completed. Returns false if it was removed or panicked.
    pub async fn struck(&self) -> bool {
        let mut receiver = self.0.clone();
        receiver.wait_for(|struck| *struck).await.is_ok()
    }
}

/// The armed interceptions.
#[derive(Default)]
pub(crate) struct Intercepts(Mutex<Vec<Armed>>);

struct Armed {
    intercept: Intercept,
    matched: usize,
    act: Box<dyn FnOnce() -> BoxFuture<'static, Then> + Send>,
    struck: watch::Sender<bool>,
}

impl Intercepts {
    pub(crate) fn arm<A>(
        &self,
        intercept: Intercept,
        act: impl FnOnce() -> A + Send + 'static,
    ) -> Interception
    where
        A: Future<Output = Then> + Send + 'static,
    {
        let (struck, receiver) = watch::channel(false);
        self.lock().push(Armed {
            intercept,
            matched: 0,
            act: Box::new(|| act().boxed()),
            struck,
        });
        Interception(receiver)
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Runs the actions of this moment. The connection is cut if any action requests it.
    pub(crate) async fn at(&self, moment: Moment, call: &ServiceCall) -> Then {
        let mut then = Then::GoOn;
        for Armed { act, struck, .. } in self.take_triggered(moment, call) {
            if act().await == Then::Drop {
                then = Then::Drop;
            }
            struck.send_replace(true);
        }
        then
    }

    /// Counts the request and removes the interceptions that it triggers.
    fn take_triggered(&self, moment: Moment, call: &ServiceCall) -> Vec<Armed> {
        let strikes = |armed: &mut Armed| {
            let matches = armed.intercept.matches(moment, call);
            armed.matched += usize::from(matches);
            matches && armed.matched >= armed.intercept.nth
        };
        self.lock().extract_if(.., strikes).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Armed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
