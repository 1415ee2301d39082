//! The rotations of one app that are handled together: read, decide, check, apply, verify.

mod apply;
mod decide;
mod open;
mod prove;

use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::{AzureError, Call, Deadline, ReferenceStatus};
use keyrelay_model::{AppId, Plan, Reference, Settings, Target, Verdict};
use keyrelay_store::{Acquired, Lease};
use tracing::Span;
use uuid::Uuid;

use crate::config::Mode;
use crate::order::{Order, Proof, Rotation, Stage};
use crate::outcome::Outcome;
use crate::pending::Work;
use crate::relay::Relay;
use crate::state::{self, AppState};
use crate::telemetry::SPANS;
use crate::verify::{Awaited, Look, judge};

/// How often somebody else's lease is looked at again.
const LEASE_LOOK: Duration = Duration::from_millis(400);

/// Rotations of one app, on their way together.
pub(crate) struct Group {
    relay: Arc<Relay>,
    app: AppId,
    call: Call,
    rotations: Vec<Rotation>,
    /// The name of this group's open work in the store.
    name: String,
    /// Whether the store holds open work of that name.
    is_kept: bool,
    /// What of it the reconcile timer is to go on with.
    left: Vec<Work>,
    /// Whether it ended in a way that leaves open what was written.
    is_uncertain: bool,
    /// Whether the app was changed.
    changed: bool,
}

impl Group {
    pub(crate) fn new(relay: Arc<Relay>, app: AppId, mut rotations: Vec<Rotation>) -> Self {
        // Of two that want the same setting, the later event has the last word.
        rotations.sort_by_key(|rotation| rotation.order.event.moment());
        let latest = rotations.iter().map(|rotation| rotation.deadline).max();
        let call = Call::until(latest.unwrap_or(Deadline::after(Duration::ZERO)));
        let name = Uuid::new_v4().to_string();
        Self {
            relay,
            app,
            call,
            rotations,
            name,
            is_kept: false,
            left: Vec::new(),
            is_uncertain: false,
            changed: false,
        }
    }

    /// The next part of the trace. What is done for several rotations together is seen in the first of them.
    pub(crate) fn span(&self, step: &'static str) -> Span {
        let Some(first) = self.rotations.iter().find(|rotation| rotation.is_open()) else {
            return Span::none();
        };
        tracing::info_span!(target: SPANS, parent: &first.span, "step", otel.name = step, rotations = self.rotations.len())
    }

    /// Everything up to the proof, under the app's lease. Returns whether the app was changed.
    pub(crate) async fn apply(&mut self) -> bool {
        if let Err(outcome) = self.under_lease().await {
            self.is_uncertain = true;
            self.end_open(&outcome);
        }
        self.changed
    }

    async fn under_lease(&mut self) -> Result<(), Outcome> {
        let mut lease = self.lease().await?;
        let applied = self.apply_under(&mut lease).await;
        for rotation in self
            .rotations
            .iter()
            .filter(|rotation| rotation.proof().is_some())
        {
            lease.document.note(&rotation.order);
        }
        let released = lease.release().await;
        applied?;
        Ok(released?)
    }

    /// The lease of the app. Waits while another instance has it.
    async fn lease(&self) -> Result<Lease<AppState>, Outcome> {
        let key = state::key(&self.app);
        let Relay {
            store,
            instance,
            config,
            ..
        } = &*self.relay;
        loop {
            let (holder, remaining) =
                match Lease::acquire(store, &key, instance, config.lease).await? {
                    Acquired::Held(lease) => return Ok(*lease),
                    Acquired::Busy { holder, remaining } => (holder, remaining),
                };
            let pause = remaining.clamp(Duration::from_millis(20), LEASE_LOOK);
            if self.call.deadline.remaining() <= pause {
                let seconds = remaining.as_secs_f32();
                let message = format!(
                    "`{holder}` is writing the app and has its lease for {seconds:.0} s more"
                );
                return Err(Outcome::transient(message));
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn apply_under(&mut self, lease: &mut Lease<AppState>) -> Result<(), Outcome> {
        self.end_superseded(&lease.document);
        if self.rotations.iter().all(|rotation| !rotation.is_open()) {
            return Ok(());
        }
        let statuses = self
            .relay
            .resource_manager
            .reference_statuses(&self.app, &self.call)
            .await?;
        self.decide_by_references(&statuses).await;
        self.patch(lease, &statuses).await?;
        self.refresh(lease, &statuses).await
    }

    /// Has Azure resolve all references anew, unless those of the secrets are good already, or were resolved by a write.
    async fn refresh(
        &mut self,
        lease: &mut Lease<AppState>,
        statuses: &[ReferenceStatus],
    ) -> Result<(), Outcome> {
        // What another rotation of the group has just written is that one's to prove.
        let plans = self
            .rotations
            .iter()
            .filter_map(Rotation::proof)
            .map(|proof| &proof.plan);
        let written: Vec<_> = plans
            .flat_map(Plan::changes)
            .map(|(name, _)| name.clone())
            .collect();
        let mut needed = false;
        for index in 0..self.rotations.len() {
            let Some(Rotation {
                order,
                stage: Stage::Refresh,
                ..
            }) = self.rotations.get(index)
            else {
                continue;
            };
            let order = Arc::clone(order);
            let mut awaited = self.awaited(&order, statuses);
            awaited.retain(|it| !written.contains(&it.setting));
            let outcome = if awaited.is_empty() {
                let message = "no setting of the app references the secret without a version: a refresh changes nothing";
                Outcome::new(Verdict::Unchanged, message)
            } else if self.are_good(&order, &awaited, statuses) {
                lease.document.note(&order);
                already(&order, &awaited)
            } else if order.mode == Mode::Monitor {
                Outcome::new(
                    Verdict::Monitored,
                    "would refresh the references of the app",
                )
            } else {
                needed = true;
                let done = Some(if self.changed { "written" } else { "refreshed" });
                self.set_stage(
                    index,
                    Stage::Proof(Proof {
                        awaited,
                        plan: Plan::default(),
                        not_kept: Vec::new(),
                        done,
                    }),
                );
                continue;
            };
            self.end(index, outcome);
        }
        if needed && !self.changed {
            self.fence(lease).await?;
            self.relay
                .resource_manager
                .refresh_references(&self.app, &self.call)
                .await?;
            self.changed = true;
        }
        Ok(())
    }

    /// Makes sure, right before a change, that the lease is ours.
    async fn fence(&self, lease: &mut Lease<AppState>) -> Result<(), Outcome> {
        Ok(lease.renew().await?)
    }

    fn target(&self, row: &ReferenceStatus) -> Option<Target> {
        let reference = Reference::parse(&row.reference, self.vault_suffix()).ok()?;
        Some(reference.target().clone())
    }

    fn vault_suffix(&self) -> &str {
        &self.relay.config.cloud.vault_suffix
    }

    async fn read(&self) -> Result<Settings, AzureError> {
        self.relay
            .resource_manager
            .settings(&self.app, &self.call)
            .await
    }

    /// The references that a refresh or a write brings to the event's version: those to its secret, but for the ones
    /// that are pinned to another version.
    fn awaited(&self, order: &Order, statuses: &[ReferenceStatus]) -> Vec<Awaited> {
        let event = &order.event;
        let targets = statuses
            .iter()
            .filter_map(|row| Some((row.setting.clone(), self.target(row)?)));
        let of_secret = targets.filter(|(_, target)| target.is_of(event));
        let moving = of_secret
            .filter(|(_, target)| target.version.is_none() || target.version == event.version);
        moving
            .map(|(setting, target)| Awaited::new(setting, target, event))
            .collect()
    }

    /// Whether every version that is wanted is there. One that is not known may always be missing.
    fn are_good(&self, order: &Order, awaited: &[Awaited], statuses: &[ReferenceStatus]) -> bool {
        awaited.iter().all(|it| {
            if it.version.is_none() {
                return false;
            }
            let row = statuses.iter().find(|row| row.setting == it.setting);
            judge(it, row, &order.versions, self.vault_suffix()) == Look::Good
        })
    }

    fn set_stage(&mut self, index: usize, stage: Stage) {
        if let Some(rotation) = self.rotations.get_mut(index) {
            rotation.stage = stage;
        }
    }

    fn end(&mut self, index: usize, outcome: Outcome) {
        if let Some(rotation) = self.rotations.get_mut(index) {
            rotation.end(&self.app, &self.call, outcome);
        }
    }

    /// Ends all that have no verdict yet.
    fn end_open(&mut self, outcome: &Outcome) {
        for rotation in self
            .rotations
            .iter_mut()
            .filter(|rotation| rotation.is_open())
        {
            rotation.end(&self.app, &self.call, outcome.clone());
        }
    }
}

/// What is found done: unchanged, or verified if it was left open before.
fn already(order: &Order, awaited: &[Awaited]) -> Outcome {
    if order.carried.is_some() {
        return Outcome::new(Verdict::Verified, resolved(awaited));
    }
    Outcome::new(Verdict::Unchanged, format!("{} already", resolved(awaited)))
}

/// Says which settings hold which version.
fn resolved(awaited: &[Awaited]) -> String {
    let one = |it: &Awaited| match &it.version {
        Some(version) => format!("`{}` is resolved with version {version}", it.setting),
        None => format!("`{}` is resolved", it.setting),
    };
    let all: Vec<String> = awaited.iter().map(one).collect();
    if all.is_empty() {
        "nothing is left to do".to_owned()
    } else {
        all.join(", ")
    }
}
