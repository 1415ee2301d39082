//! Checks the status of references: the evidence that Azure gives, or the next step towards it.

use std::time::Duration;

use keyrelay_azure::{Progress, ReferenceStatus, Status};
use keyrelay_model::{
    Evidence, Reference, RefreshProgress, RefreshRule, RefreshStep, RefreshTiming, Relation,
    UnnamedState, Versions,
};

use crate::pipeline::rotation::AwaitedReference;

/// The result of one status check of one reference.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ReferenceCheck {
    /// Azure's row is evidence.
    Proven(Evidence),
    /// Resolved with a version that cannot be ordered against the wanted one, so that it says no more
    /// than a row without a version. The text is the remark for operators.
    Unordered(String),
    /// Resolved, and Azure does not say with which version.
    Unnamed,
    /// Not resolved yet, or not with the version.
    Waiting {
        reason: String,
        /// Whether the row will show when it is.
        is_visible: bool,
    },
    /// Azure reports that the reference does not work. The reason has the fix.
    Broken {
        reason: String,
        /// Whether the status is another one than before the change.
        has_changed: bool,
    },
}

/// The next step of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The app has the version.
    Proven(Proof),
    /// The references have to be refreshed now. The text is the reason.
    Refresh(String),
    /// Nothing to do but to check again.
    Wait {
        reason: String,
        /// The time after which a check can find something new, if that is known.
        pause: Option<Duration>,
        /// Whether the rows may show the result before that.
        is_visible: bool,
    },
    /// Azure reports that a reference does not work. The text is the reason, with the fix.
    Failed(String),
    /// All references work, and no refresh can prove any more that they have the version.
    Unproven {
        /// The reason, with the fix.
        reason: String,
        /// Whether a later row may prove it.
        is_visible: bool,
    },
}

/// The proof that an app has a version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Proof {
    /// The weakest evidence. None: there was no reference to check.
    pub(super) evidence: Option<Evidence>,
    /// Remarks about versions that cannot be ordered.
    pub(super) notes: Vec<String>,
}

/// The facts that a check compares with Azure's rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// The rows before the last change of the app, if that was made just now.
    pub(super) before: Option<&'a [ReferenceStatus]>,
    pub(super) versions: &'a Versions,
    pub(super) vault_suffix: &'a str,
    /// The time, in seconds since 1970.
    pub(super) now: u64,
    pub(super) rule: RefreshRule,
    pub(super) timing: &'a RefreshTiming,
}

/// The rotation's side of a check.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked<'a> {
    pub(super) awaited: &'a [AwaitedReference],
    pub(super) progress: &'a RefreshProgress,
    /// Whether references that are pinned are refreshed too.
    pub(super) is_refresh: bool,
    /// Whether the settings were written.
    pub(super) is_written: bool,
}

impl Step {
    /// The reason why the rotation has no verdict.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Proven(_) => "",
            Self::Refresh(reason)
            | Self::Failed(reason)
            | Self::Unproven { reason, .. }
            | Self::Wait { reason, .. } => reason,
        }
    }
}

impl ReferenceCheck {
    fn visible(reason: String) -> Self {
        Self::Waiting {
            reason,
            is_visible: true,
        }
    }
}

/// Decides the next step of a rotation by the rows in Azure's response.
pub(super) fn next_step(checked: Checked<'_>, rows: &[ReferenceStatus], facts: Facts<'_>) -> Step {
    let (mut proof, mut refreshable) = (Proof::default(), false);
    let (mut unnamed, mut waiting, mut broken) = (None, None, None);
    let mut is_visible = false;
    for it in checked.awaited {
        let mut check = check_reference(it, rows, facts);
        if check == ReferenceCheck::Proven(Evidence::Pinned) && is_just_written(checked, facts) {
            let reason = format!("`{}` was written just now", it.setting);
            check = ReferenceCheck::visible(reason);
        }
        if let ReferenceCheck::Proven(evidence) = check {
            proof.add(evidence);
            continue;
        }
        refreshable |= it.target.version.is_none() || checked.is_refresh;
        match check {
            ReferenceCheck::Proven(_) => {}
            ReferenceCheck::Unordered(note) => {
                proof.notes.push(note.clone());
                unnamed = Some(note);
                // Azure may name the wanted one later.
                is_visible = true;
            }
            ReferenceCheck::Unnamed => unnamed = Some(unnamed_reason(it)),
            ReferenceCheck::Waiting {
                reason,
                is_visible: visible,
            } => {
                waiting = Some(reason);
                is_visible |= visible;
            }
            ReferenceCheck::Broken {
                reason,
                has_changed,
            } => {
                broken = Some((reason, has_changed));
                is_visible |= it.target.version.is_some();
            }
        }
    }
    let (state, reason) = match (broken, waiting, unnamed) {
        (Some((reason, has_changed)), ..) => (UnnamedState::Broken { has_changed }, reason),
        (None, Some(reason), _) => (UnnamedState::InProgress, reason),
        (None, None, Some(reason)) => (UnnamedState::Resolved, reason),
        (None, None, None) => return Step::Proven(proof),
    };
    let step = if refreshable {
        checked.progress.next_step(state, facts.rule, facts.timing)
    } else {
        without_refresh(checked.progress, state, facts.timing)
    };
    match step {
        RefreshStep::Proven(evidence) => {
            proof.add(evidence);
            Step::Proven(proof)
        }
        RefreshStep::Refresh => Step::Refresh(reason),
        RefreshStep::Broken => Step::Failed(reason),
        RefreshStep::Unproven => Step::Unproven {
            reason: format!(
                "{reason}; no other refresh is allowed, and Azure has not confirmed enough of them: \
                 resubmit the run"
            ),
            is_visible,
        },
        RefreshStep::Wait(pause) => Step::Wait {
            reason,
            pause,
            is_visible,
        },
    }
}

impl Proof {
    fn add(&mut self, evidence: Evidence) {
        let weakest = self
            .evidence
            .map_or(evidence, |weakest| weakest.min(evidence));
        self.evidence = Some(weakest);
    }
}

/// Whether the rows may still be those before a write.
fn is_just_written(checked: Checked<'_>, facts: Facts<'_>) -> bool {
    let last = checked.progress.refreshes.last();
    checked.is_written && last.is_some_and(|write| write.age < facts.timing.written())
}

/// The next step of a patch: a pinned reference is resolved by the write, and not by a refresh.
fn without_refresh(
    progress: &RefreshProgress,
    state: UnnamedState,
    timing: &RefreshTiming,
) -> RefreshStep {
    let age = progress
        .refreshes
        .last()
        .map_or(progress.known_for, |write| write.age);
    match state {
        UnnamedState::Broken { has_changed } if has_changed || age >= timing.broken_after() => {
            RefreshStep::Broken
        }
        UnnamedState::Broken { .. } => RefreshStep::Wait(Some(timing.broken_after() - age)),
        UnnamedState::Resolved | UnnamedState::InProgress => RefreshStep::Wait(None),
    }
}

fn unnamed_reason(awaited: &AwaitedReference) -> String {
    format!(
        "`{}` is resolved, and Azure does not say with which version",
        awaited.setting
    )
}

/// Checks one reference by its row in Azure's response.
fn check_reference(
    awaited: &AwaitedReference,
    rows: &[ReferenceStatus],
    facts: Facts<'_>,
) -> ReferenceCheck {
    let name = &awaited.setting;
    let is_own = |row: &&ReferenceStatus| row.setting == *name && row.kind == awaited.kind;
    let Some(row) = rows.iter().find(is_own) else {
        let message = format!("Azure does not list the reference in `{name}` yet");
        return ReferenceCheck::visible(message);
    };
    let listed = Reference::parse(&row.reference, facts.vault_suffix).ok();
    if listed.is_some_and(|listed| *listed.target() != awaited.target) {
        let message = format!("Azure still lists the former reference in `{name}`");
        return ReferenceCheck::visible(message);
    }
    let status = &row.status;
    let reason = format!("the reference in `{name}` is {status}: {}", status.advice());
    match status.progress() {
        Progress::Resolved => {}
        Progress::InProgress => {
            return ReferenceCheck::Waiting {
                reason,
                is_visible: awaited.target.version.is_some(),
            };
        }
        Progress::Broken => {
            let before = facts.before.map(|rows| rows.iter().find(is_own));
            let differs = before
                .is_some_and(|before| before.is_none_or(|before| before.status != row.status));
            return ReferenceCheck::Broken {
                reason,
                has_changed: differs && !is_late(awaited, status),
            };
        }
    }
    match (&awaited.version, &row.active_version) {
        (None, Some(active)) => {
            let newest = facts.versions.newest(facts.now);
            match newest.iter().any(|(newest, _)| *newest == active) {
                true => ReferenceCheck::Proven(Evidence::ActiveVersion),
                false => ReferenceCheck::Unnamed,
            }
        }
        (None, None) => ReferenceCheck::Unnamed,
        (Some(wanted), Some(active)) => {
            let still = || ReferenceCheck::visible(format!("`{name}` still has version {active}"));
            let unordered = |reason: &str| match awaited.target.version {
                Some(_) => still(),
                None => ReferenceCheck::Unordered(format!(
                    "`{name}` is resolved with version {active}: {reason}"
                )),
            };
            match facts.versions.relation(active, wanted, facts.now) {
                Relation::SameOrNewer => ReferenceCheck::Proven(Evidence::ActiveVersion),
                Relation::SameSecond => unordered(
                    "it and the event's version were created within one second, and the vault does \
                     not tell which is newer",
                ),
                Relation::NewestWithout => unordered(
                    "it is the newest one, and the vault does not list the event's version any more",
                ),
                Relation::Other => still(),
            }
        }
        // A pinned reference leaves Azure no choice.
        (Some(wanted), None) if awaited.target.version.as_ref() == Some(wanted) => {
            ReferenceCheck::Proven(Evidence::Pinned)
        }
        (Some(_), None) => ReferenceCheck::Unnamed,
    }
}

/// Whether a status contradicts the vault, which has announced the version: the vault may tell the
/// app later than Event Grid.
fn is_late(awaited: &AwaitedReference, status: &Status) -> bool {
    let is_missing = matches!(
        status,
        Status::SecretNotFound | Status::SecretVersionNotFound
    );
    awaited.version.is_some() && is_missing
}

#[cfg(test)]
mod tests;
