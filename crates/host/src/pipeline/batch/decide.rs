//! Decides the rotations of a batch: which versions are superseded, and what the policies want.

use std::sync::Arc;

use keyrelay_azure::{ReferenceKind, ReferenceStatus};
use keyrelay_config::Mode;
use keyrelay_model::{Decision, Plan, SettingName, Settings, Target, Verdict, error_chain, plan};
use keyrelay_records::app_state::{self, AppState};
use keyrelay_records::{Cause, Outcome, to_plan};
use keyrelay_sandbox::{
    AppView, Undecided, View, VisibleSetting, visible_references, visible_settings,
};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::context::{BatchContext, connection_strings};
use crate::pipeline::event_context::EventContext;
use crate::pipeline::rotation::{AppliedChange, AwaitedReference, Rotation, Stage, Verification};
use crate::telemetry::SPANS;

/// Closes the rotations whose version is older than one that was applied before, or than one of
/// another event in the batch: no app goes backwards, and none moves forward in steps.
pub(super) fn close_superseded(
    context: &BatchContext,
    rotations: &mut [Rotation],
    state: &AppState,
) {
    let superseded: Vec<Option<Outcome>> = rotations
        .iter()
        .map(|rotation| superseded(&rotation.context, rotations, state))
        .collect();
    for (rotation, outcome) in rotations.iter_mut().zip(superseded) {
        if let Some(outcome) = outcome {
            context.close(rotation, outcome);
        }
    }
}

fn superseded(context: &EventContext, rotations: &[Rotation], state: &AppState) -> Option<Outcome> {
    // An operator who resubmits the run gets it; the hourly comparison does not try it again.
    let message = if context.cause == Cause::Drift
        && state.was_rolled_back(&context.event, &context.versions)
    {
        "not handled: the version was rolled back before, because it did not resolve; fix its \
         cause and resubmit the run"
            .to_owned()
    } else if let Some(newer) = state.newer_than(&context.event, &context.versions, context.began) {
        format!(
            "not handled: version {newer} was applied before, and keyrelay never moves an app to an older version"
        )
    } else {
        let newer = newer_in_batch(context, rotations)?;
        format!("not handled: version {newer} is newer and has an event of its own")
    };
    Some(Outcome::new(Verdict::Unchanged, message))
}

/// The newer version of the same secret that another event of the batch brings.
fn newer_in_batch(context: &EventContext, rotations: &[Rotation]) -> Option<String> {
    let own = app_state::announced(&context.event)?;
    let secret = app_state::secret(&context.event);
    let events = rotations.iter().map(|rotation| &rotation.context.event);
    let mut newer = events
        .filter(|event| app_state::secret(event) == secret)
        .filter_map(app_state::announced)
        .filter(|other| other.version != own.version && context.versions.comes_after(other, &own));
    newer.next().map(|newer| newer.version.to_string())
}

/// Evaluates the policies that decide by references. A policy that needs the settings is evaluated
/// when they are read.
pub(super) async fn by_references(
    context: &BatchContext,
    rotations: &mut [Rotation],
    statuses: &[ReferenceStatus],
) {
    let targets = targets(context, statuses, |_| true);
    for rotation in rotations.iter_mut().filter(|rotation| rotation.is_open()) {
        let event_context = &rotation.context;
        let owed = owed_verification(context, event_context, statuses).await;
        if let Some(verification) = owed {
            rotation.stage = Stage::Verify(verification);
            continue;
        }
        if let Some(outcome) = event_context.outcome_unless_written.clone() {
            let outcome = match event_context.is_last_attempt() {
                true => Outcome::permanent(format!(
                    "given up after 24 hours, and the app has nothing of the patch: {}",
                    outcome.message
                )),
                false => outcome,
            };
            context.close(rotation, outcome);
            continue;
        }
        let Some(policy) = &event_context.policy else {
            // An earlier run has refreshed the app, and verifies that without the policy.
            rotation.stage = Stage::Refresh;
            continue;
        };
        if policy.about().view == View::Settings {
            rotation.stage = Stage::NeedsSettings;
        } else {
            let visible = visible_references(targets.clone());
            match evaluate(context, rotation, visible).await {
                Ok(decision) => accept(context, rotation, decision),
                Err(outcome) => context.close(rotation, outcome),
            }
        }
    }
}

/// The verification that an earlier run owes. None if the app has none of its changes.
async fn owed_verification(
    context: &BatchContext,
    event_context: &EventContext,
    statuses: &[ReferenceStatus],
) -> Option<Verification> {
    let resumed = event_context.resumed.as_ref()?;
    let suffix = context.vault_suffix();
    let (plan, unrecoverable) = to_plan(&resumed.work.rollback, suffix);
    let row_of = |setting: &_| statuses.iter().find(|row| row.setting == *setting);
    let references = plan.references(suffix);
    // Azure may not list a reference yet, or the settings may not have been written.
    let is_unlisted = references
        .iter()
        .any(|(setting, _)| row_of(setting).is_none());
    let settings = match is_unlisted {
        true => context.settings().await.ok(),
        false => None,
    };
    let is_listed = |setting: &SettingName, target: &Target| match (row_of(setting), &settings) {
        (Some(row), _) => context.target(row).as_ref() == Some(target),
        (None, Some(settings)) => {
            let value = settings.get(setting);
            let reference = value.and_then(|value| value.reference(suffix).ok());
            reference.is_some_and(|reference| reference.target() == target)
        }
        (None, None) => true,
    };
    let event = &event_context.event;
    let mut awaited: Vec<AwaitedReference> = references
        .into_iter()
        .filter(|(setting, target)| is_listed(setting, target))
        .map(|(setting, target)| {
            AwaitedReference::new((setting, ReferenceKind::AppSetting), target, event)
        })
        .collect();
    if awaited.is_empty() {
        return None;
    }
    // Azure resolves the others along with those of the plan.
    let others = context.awaited(event, statuses).into_iter();
    let is_other = |it: &AwaitedReference| {
        let is_same = |own: &AwaitedReference| own.setting == it.setting && own.kind == it.kind;
        !awaited.iter().any(is_same)
    };
    let others: Vec<AwaitedReference> = others.filter(is_other).collect();
    awaited.extend(others);
    Some(Verification {
        plan,
        unrecoverable,
        change: AppliedChange::Written,
        ..Verification::of(awaited)
    })
}

/// The secrets that the settings of the selected rows reference. An app setting hides a connection
/// string of the same name.
fn targets(
    context: &BatchContext,
    statuses: &[ReferenceStatus],
    is_selected: impl Fn(&ReferenceStatus) -> bool,
) -> Vec<(SettingName, Target)> {
    let connection_strings = connection_strings(statuses);
    let visible = statuses.iter().filter(|row| {
        is_selected(row)
            && (row.kind == ReferenceKind::AppSetting || connection_strings.contains(&row.setting))
    });
    visible
        .filter_map(|row| Some((row.setting.clone(), context.target(row)?)))
        .collect()
}

/// Evaluates the policies that want the settings, one after the other: each sees the patches of the
/// earlier ones. Returns the settings with all patches applied.
///
/// Afterwards a rotation that patches has its own plan.
pub(super) async fn by_settings(
    context: &BatchContext,
    rotations: &mut [Rotation],
    read: &Settings,
    statuses: &[ReferenceStatus],
) -> Settings {
    let mut settings = read.clone();
    let mut planned: Vec<(&mut Rotation, Plan)> = Vec::new();
    for rotation in rotations.iter_mut().filter(|it| it.wants_settings()) {
        let Some(mut plan) = plan_patch(context, rotation, &settings, statuses).await else {
            continue;
        };
        settings = plan.apply_to(&settings);
        for (_, earlier) in &mut planned {
            // A setting has one former value, and one rotation that restores it.
            plan.take_over(earlier);
        }
        planned.push((rotation, plan));
    }
    for (rotation, plan) in planned {
        // The value before the first attempt is the one to restore.
        rotation.attempted = std::mem::take(&mut rotation.attempted).followed_by(plan);
        rotation.stage = Stage::Patch;
    }
    settings
}

/// Evaluates a policy with the settings of the app, and checks its patch against the grant. None:
/// the rotation does not patch.
async fn plan_patch(
    context: &BatchContext,
    rotation: &mut Rotation,
    settings: &Settings,
    statuses: &[ReferenceStatus],
) -> Option<Plan> {
    let event_context = Arc::clone(&rotation.context);
    let EventContext { event, grant, .. } = &*event_context;
    let suffix = context.vault_suffix();
    let mut visible = visible_settings(settings, grant, suffix);
    let is_connection_string = |row: &ReferenceStatus| row.kind == ReferenceKind::ConnectionString;
    let mut connections = targets(context, statuses, is_connection_string);
    connections.retain(|(name, _)| settings.get(name).is_none());
    visible.extend(visible_references(connections.clone()));
    let patch = match evaluate(context, rotation, visible).await {
        Ok(Decision::Patch(patch)) => patch,
        Ok(decision) => {
            accept(context, rotation, decision);
            return None;
        }
        Err(outcome) => {
            context.close(rotation, outcome);
            return None;
        }
    };
    if let Some((name, _)) = connections.iter().find(|(name, _)| patch.names(name)) {
        let message = format!(
            "`{name}` is a connection string, which keyrelay refreshes and does not patch: use a \
             reference without a version, or move it to the app settings"
        );
        context.close(rotation, Outcome::new(Verdict::Refused, message));
        return None;
    }
    let plan = match plan(&patch, event, settings, grant, suffix) {
        Ok(plan) => plan,
        Err(refusal) => {
            context.close(rotation, refusal.into());
            return None;
        }
    };
    rotation.plan = plan.describe(suffix);
    if event_context.mode == Mode::Monitor && !plan.is_empty() {
        let message = format!("would write {plan}");
        context.close(rotation, Outcome::new(Verdict::Monitored, message));
        return None;
    }
    Some(plan)
}

/// Moves a rotation to the stage of its decision.
fn accept(context: &BatchContext, rotation: &mut Rotation, decision: Decision) {
    match decision {
        Decision::Patch(_) => rotation.stage = Stage::Patch,
        Decision::Refresh => rotation.stage = Stage::Refresh,
        Decision::Notice(text) => context.close(rotation, Outcome::new(Verdict::Notice, text)),
        Decision::Skip(text) => context.close(rotation, Outcome::new(Verdict::Unchanged, text)),
    }
}

/// Evaluates the policy of a rotation, in a fresh instance of its sandbox.
async fn evaluate(
    context: &BatchContext,
    rotation: &mut Rotation,
    settings: Vec<VisibleSetting>,
) -> Result<Decision, Outcome> {
    let EventContext {
        event,
        policy,
        parameters,
        grant,
        limits,
        ..
    } = &*rotation.context;
    let Some(policy) = policy else {
        return Err(Outcome::transient("the policy cannot be used any more"));
    };
    let view = AppView {
        id: &context.app,
        settings: &settings,
        parameters,
        grant,
    };
    let span = tracing::info_span!(
        target: SPANS,
        parent: &rotation.span,
        "decide",
        policy.name = policy.name(),
        policy.digest = %policy.digest(),
    );
    let began = Instant::now();
    let evaluated = policy.decide(event, &view, limits).instrument(span).await;
    let metrics = &context.services.metrics;
    metrics.decision(policy.name(), began.elapsed());
    match evaluated {
        Ok(evaluation) => {
            rotation.policy_log = evaluation.log;
            rotation.decision = Some(in_short(&evaluation.decision));
            Ok(evaluation.decision)
        }
        Err(Undecided { error, log }) => {
            rotation.policy_log = log;
            // The same event and app give the same decision: another evaluation would not help.
            Err(Outcome::permanent(error_chain(&error)))
        }
    }
}

/// A decision in short, for logs and records: names and the targets of references, never plain
/// text.
fn in_short(decision: &Decision) -> String {
    match decision {
        Decision::Patch(patch) => {
            let set = patch.set.iter().map(|(name, _)| format!("set {name}"));
            let remove = patch.remove.iter().map(|name| format!("remove {name}"));
            let changes: Vec<String> = set.chain(remove).collect();
            format!("patch ({})", changes.join(", "))
        }
        Decision::Refresh => "refresh".to_owned(),
        Decision::Notice(text) => format!("notice: {text}"),
        Decision::Skip(reason) => format!("skip: {reason}"),
    }
}
