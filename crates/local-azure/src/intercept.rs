//! Tests that act at an exact moment of a request: to kill the program that sent it, or to write in between.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::call::Call;
use crate::requests::{self, Service};

/// At which request, and when.
#[derive(Debug, Clone)]
pub struct Intercept {
    service: Service,
    moment: Moment,
    method: Option<String>,
    path: Option<String>,
    nth: usize,
}

/// A moment in the way of a request with a good token. Others are refused and have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It was read to its end, and nothing has been done. Faults come after this.
    Arrived,
    /// It was carried out, and nothing has been answered. A request that a fault refuses, or lets hang, never gets here.
    CarriedOut,
}

/// How a request goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// As if nothing had been. A request whose client is gone is still carried out.
    GoOn,
    /// Its connection is cut. Nothing more is done.
    Drop,
}

/// Tells whether an interception has struck. Clones tell the same.
#[derive(Debug, Clone)]
pub struct Interception(watch::Receiver<bool>);

impl Intercept {
    /// The first request to a service.
    pub fn new(service: Service, moment: Moment) -> Self {
        Self {
            service,
            moment,
            method: None,
            path: None,
            nth: 1,
        }
    }

    /// Only those with this method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self {
            method: Some(method.to_owned()),
            ..self
        }
    }

    /// Only those whose path contains this text, whatever its case.
    #[must_use]
    pub fn path(self, part: &str) -> Self {
        Self {
            path: Some(part.to_owned()),
            ..self
        }
    }

    /// The `nth` of them from now on, in the order in which they get to the moment. Counted from 1.
    #[must_use]
    pub fn nth(self, nth: usize) -> Self {
        Self { nth, ..self }
    }

    fn is_for(&self, moment: Moment, call: &Call) -> bool {
        self.moment == moment
            && self.service == call.service
            && requests::are_meant(
                self.method.as_deref(),
                self.path.as_deref(),
                call.method.as_str(),
                &call.path,
            )
    }
}

impl Interception {
    /// Whether the request was met and what was to be done has been done, to its end.
    pub fn has_struck(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it has struck. False if it never will: it was removed, or panicked.
    pub async fn struck(&self) -> bool {
        let mut receiver = self.0.clone();
        receiver.wait_for(|struck| *struck).await.is_ok()
    }
}

/// What tests wait for.
#[derive(Default)]
pub(crate) struct Intercepts(Mutex<Vec<Armed>>);

struct Armed {
    intercept: Intercept,
    seen: usize,
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
            seen: 0,
            act: Box::new(|| act().boxed()),
            struck,
        });
        Interception(receiver)
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Does what is to be done at this moment of a request. Any that says so drops it.
    pub(crate) async fn at(&self, moment: Moment, call: &Call) -> Then {
        let mut then = Then::GoOn;
        for Armed { act, struck, .. } in self.that_strike(moment, call) {
            if act().await == Then::Drop {
                then = Then::Drop;
            }
            struck.send_replace(true);
        }
        then
    }

    /// Counts the request, and takes out what it was the last one for.
    fn that_strike(&self, moment: Moment, call: &Call) -> Vec<Armed> {
        let strikes = |armed: &mut Armed| {
            let is_for = armed.intercept.is_for(moment, call);
            armed.seen += usize::from(is_for);
            is_for && armed.seen >= armed.intercept.nth
        };
        self.lock().extract_if(.., strikes).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Armed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
