//! Rotates the apps of an event side by side, as they are discovered.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use keyrelay_azure::{AzureError, Call, Deadline};
use keyrelay_model::{AppId, Verdict};
use keyrelay_records::{Outcome, RemainingSites, RotationRecord};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::app_queue::AppQueue;
use super::arrivals::{Arrival, ArrivalId};
use super::batch;
use super::discover::{Discovered, discover, origin};
use super::rotation::Rotation;
use super::route::Routed;
use super::time_budget::TimeBudget;
use crate::services::Services;

/// Time after its deadline in which a verdict is still accepted: a pending one has to be kept in
/// the store before it is returned.
const LATE_VERDICT: Duration = Duration::from_millis(500);

/// The apps of an event that are left after its rotations.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// The sites that there was no time for, from the first page with such a site.
    pub(crate) remaining: Vec<RemainingSites>,
    /// The apps of the run, the rule or the index that there was no time for.
    pub(crate) named: Vec<AppId>,
    /// The apps that are in no list of sites, and that there was no time for.
    pub(crate) unlisted: Vec<AppId>,
    /// The lists of sites that cannot be read.
    pub(crate) failed: Vec<(RemainingSites, AzureError)>,
    /// Whether the apps come from the index: newcomers are found by a sweep of the scope.
    pub(crate) is_by_index: bool,
}

/// The rotations of an event.
struct Rotations<'r> {
    services: &'r Arc<Services>,
    routed: &'r Routed<'r>,
    budget: TimeBudget,
    arrival: ArrivalId,
    began: Instant,
    /// Apps that have no reference to the secret in connection strings.
    without_connection_strings: HashSet<AppId>,
    /// The pages so far.
    pages: Vec<RemainingSites>,
    /// The scopes of which no page has begun.
    scopes: Vec<RemainingSites>,
    /// The known apps that are in no list, and whose rotation has not begun.
    unlisted: HashSet<AppId>,
    /// Apps whose rotation has not begun, each with the number of pages at its discovery.
    waiting: VecDeque<(usize, AppId)>,
    /// The number of the first page with an app that there was no time for.
    first_left: Option<usize>,
    left: Left,
}

/// Rotates the apps of an event, and adds their records to `records`.
pub(crate) async fn rotate(
    services: &Arc<Services>,
    routed: &Routed<'_>,
    budget: TimeBudget,
    call: &Call,
    arrival: Arrival,
    records: &mut Vec<RotationRecord>,
    notes: &mut Vec<String>,
) -> Left {
    let mut origin = origin(services, routed, call, notes).await;
    let scopes = origin.lists.clone();
    let is_by_index = origin.is_by_index;
    let without_connection_strings = std::mem::take(&mut origin.without_connection_strings);
    let listed = Mutex::default();
    let apps = discover(services, routed, origin, &listed, call);
    let mut apps = std::pin::pin!(apps);
    let mut rotations = Rotations {
        services,
        routed,
        budget,
        arrival: arrival.id(),
        began: Instant::now(),
        without_connection_strings,
        pages: Vec::new(),
        scopes,
        unlisted: HashSet::new(),
        waiting: VecDeque::new(),
        first_left: None,
        left: Left {
            is_by_index,
            ..Left::default()
        },
    };
    let limit = services.config.apps_at_once;
    let mut in_progress = FuturesUnordered::new();
    let (mut arrival, mut is_discovering) = (Some(arrival), true);
    loop {
        while in_progress.len() < limit
            && let Some(rotation) = rotations.begin_next(records)
        {
            in_progress.push(rotation);
        }
        if !is_discovering || in_progress.len() >= limit {
            // The event is in the queues of its apps, or of as many as are rotated at once.
            arrival.take();
        }
        tokio::select! {
            Some(record) = in_progress.next() => {
                if routed.trigger.is_deduplicated() {
                    services.handled_apps.insert(&routed.context.event, &record);
                }
                records.push(record);
            }
            next = apps.next(), if is_discovering => match next {
                Some(discovered) => is_discovering = rotations.add(discovered, records),
                None => is_discovering = false,
            },
            else => break,
        }
    }
    rotations.end()
}

impl Rotations<'_> {
    /// Adds what was discovered. Returns false if there is no time to discover more.
    fn add(&mut self, discovered: Discovered, records: &mut Vec<RotationRecord>) -> bool {
        match discovered {
            Discovered::Page(page) => {
                self.scopes.retain(|scope| scope.scope != page.scope);
                self.pages.push(page);
            }
            Discovered::Unlisted(apps) => self.unlisted.extend(apps),
            Discovered::Uses(app) => self.waiting.push_back((self.pages.len(), app)),
            // A read that the deadline has cut is no failure of its app.
            Discovered::Unknown(app, error)
                if error.is_deadline_exceeded() || self.budget.rotations().has_passed() =>
            {
                self.leave(self.pages.len(), &app);
                return false;
            }
            Discovered::Unknown(app, error) => {
                records.push(RotationRecord::ended(
                    app,
                    error.into(),
                    self.began.elapsed(),
                ));
            }
            Discovered::Failed(page, error) => {
                self.scopes.retain(|scope| scope.scope != page.scope);
                if !error.is_deadline_exceeded() && !self.budget.rotations().has_passed() {
                    self.left.failed.push((page, error));
                    return true;
                }
                self.pages.push(page);
                self.first_left.get_or_insert(self.pages.len());
                return false;
            }
        }
        true
    }

    /// Begins the next rotation. None: no app waits. Apps that need no rotation get their record.
    fn begin_next(
        &mut self,
        records: &mut Vec<RotationRecord>,
    ) -> Option<impl Future<Output = RotationRecord> + use<>> {
        while let Some((page, app)) = self.waiting.pop_front() {
            if self.budget.rotations().has_passed() {
                self.leave(page, &app);
                continue;
            }
            self.unlisted.remove(&app);
            if let Some(outcome) = skip(self.services, self.routed, &app) {
                records.push(RotationRecord::ended(app, outcome, Duration::ZERO));
            } else {
                let context = Arc::clone(&self.routed.context);
                let budget = self.budget.for_rotation();
                let (mut rotation, record) = Rotation::new(context, &app, budget, self.arrival);
                rotation.may_have_connection_strings =
                    !self.without_connection_strings.contains(&app);
                return Some(enqueue(self.services, app, rotation, record));
            }
        }
        None
    }

    /// Notes that there is no time for an app of this page. Page 0 are the apps of no list.
    fn leave(&mut self, page: usize, app: &AppId) {
        if self.unlisted.contains(app) {
            self.left.unlisted.push(app.clone());
        } else if page == 0 {
            self.left.named.push(app.clone());
        } else {
            self.first_left = Some(self.first_left.map_or(page, |first| first.min(page)));
        }
    }

    fn end(mut self) -> Left {
        if !self.left.unlisted.is_empty() {
            // Those that are not checked yet, too.
            self.left.unlisted = self.unlisted.into_iter().collect();
        }
        let Some(first) = self.first_left else {
            return self.left;
        };
        let first = first.saturating_sub(1);
        // A page leads to the later ones of its scope.
        for page in self.pages.into_iter().skip(first).chain(self.scopes) {
            let remaining = &mut self.left.remaining;
            if remaining.iter().all(|known| known.scope != page.scope) {
                remaining.push(page);
            }
        }
        self.left
    }
}

/// The outcome of a rotation that needs no request.
fn skip(services: &Services, routed: &Routed<'_>, app: &AppId) -> Option<Outcome> {
    if services.own_app.is(app) {
        let message =
            "keyrelay does not change the app that it runs in: a write would stop it half-way";
        return Some(Outcome::new(Verdict::Refused, message));
    }
    let is_handled = routed.trigger.is_deduplicated()
        && services.handled_apps.contains(&routed.context.event, app);
    is_handled.then(|| {
        let message = "an earlier delivery of the event was handled for the app";
        Outcome::new(Verdict::Unchanged, message)
    })
}

/// Queues a rotation of an app. It is in the queue when this returns, and its record is there when
/// the future is ready.
fn enqueue(
    services: &Arc<Services>,
    app: AppId,
    rotation: Rotation,
    record: oneshot::Receiver<RotationRecord>,
) -> impl Future<Output = RotationRecord> + use<> {
    let began = Instant::now();
    let queue = services.app_queues.of(&app);
    let budget = rotation.budget;
    queue.push(rotation);
    // A task of its own: other rotations are coalesced into the same batch, and outlive the
    // invocation that began it.
    tokio::spawn(work(Arc::clone(services), queue, app.clone()));
    async move {
        let accepted_until = Deadline::at(budget.rotations().moment() + LATE_VERDICT);
        let outcome = match accepted_until.bound(record).await {
            Some(Ok(record)) => return record,
            Some(Err(_)) => Outcome::transient(
                "a panic occurred while keyrelay handled the app's events: please report this",
            ),
            None => Outcome::transient("the queue of the app took all the time of this invocation"),
        };
        RotationRecord::ended(app, outcome, began.elapsed())
    }
}

/// Takes the next batch of an app, unless another worker has taken it.
async fn work(services: Arc<Services>, queue: Arc<AppQueue>, app: AppId) {
    let Some((worker, rotations)) = services.app_queues.next_batch(&queue).await else {
        return;
    };
    batch::run(&services, &queue, worker, app, rotations).await;
}
