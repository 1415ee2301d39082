//! The schedule of the refreshes of one rotation.
//!
//! Azure does not say which version a reference without one has, and the first refresh after a new
//! version may not take. So two refreshes, with a pause between them, are the evidence; a third is
//! only for a broken reference. Each may restart the app.

use std::time::Duration;

use crate::evidence::Evidence;

/// Largest number of refreshes for one rotation.
pub const MAX_REFRESHES: usize = 3;

/// The number of refreshes that a rotation needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RefreshRule {
    /// One at once, and a second one after a pause.
    #[default]
    Twice,
    /// A single one, after a pause.
    Once,
}

/// The pauses of the schedule, which all depend on the time that Azure takes for a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshTiming {
    takes: Duration,
}

/// A refresh of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastRefresh {
    /// The time since it began.
    pub age: Duration,
    /// Whether Azure has accepted it. If not, it may not have been sent.
    pub is_accepted: bool,
}

/// The refreshes of a rotation so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefreshProgress {
    /// The time since keyrelay learned of the version.
    pub known_for: Duration,
    /// The refreshes since then, oldest first.
    pub refreshes: Vec<PastRefresh>,
}

/// The state of the references that Azure names no version of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnnamedState {
    /// All are resolved.
    Resolved,
    /// One is not resolved yet.
    InProgress,
    /// One is broken. Right after a refresh, Azure still reports the state before it.
    Broken {
        /// Whether the state differs from the one before the last refresh.
        has_changed: bool,
    },
}

/// The next step of a rotation with such references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshStep {
    /// Refresh now.
    Refresh,
    /// Check again after this pause. None: after a pause that the caller chooses.
    Wait(Option<Duration>),
    /// The app has the version.
    Proven(Evidence),
    /// The reference stays broken.
    Broken,
    /// No other refresh is allowed, and those that Azure has confirmed are no evidence.
    Unproven,
}

impl RefreshTiming {
    /// The pauses for a cloud that takes this time for a refresh.
    pub fn new(takes: Duration) -> Self {
        Self { takes }
    }

    /// The pause between two refreshes: 20 s if a refresh takes 15 s.
    pub fn between(&self) -> Duration {
        self.takes * 4 / 3
    }

    /// The time after which the effect of a refresh is visible: 18 s.
    pub fn settled(&self) -> Duration {
        self.takes * 6 / 5
    }

    /// The time after which the effect of a write of settings is visible: 3 s. Azure resolves the
    /// references of a write at once, and lists them a little later.
    pub fn written(&self) -> Duration {
        self.takes / 5
    }

    /// The time after which a broken state is that after the refresh: 30 s.
    pub fn broken_after(&self) -> Duration {
        self.takes * 2
    }

    /// The pause between two looks for new work while other work is about to be due: 2.5 s.
    pub fn poll(&self) -> Duration {
        self.takes / 6
    }

    /// The time between two invocations of the timer: 60 s. A pass waits for work that is due
    /// before the next one.
    pub fn lookahead(&self) -> Duration {
        self.takes * 4
    }
}

impl RefreshProgress {
    /// The same refreshes, some time later.
    #[must_use]
    pub fn later(&self, elapsed: Duration) -> Self {
        let refreshes = self.refreshes.iter().map(|it| PastRefresh {
            age: it.age + elapsed,
            ..*it
        });
        Self {
            known_for: self.known_for + elapsed,
            refreshes: refreshes.collect(),
        }
    }

    /// Decides the next step.
    pub fn next_step(
        &self,
        state: UnnamedState,
        rule: RefreshRule,
        timing: &RefreshTiming,
    ) -> RefreshStep {
        let (count, last) = (self.refreshes.len(), self.refreshes.last());
        let since_last = last.map(|last| last.age);
        let is_enough = match rule {
            RefreshRule::Twice => self.is_repeated(timing),
            RefreshRule::Once => self.is_late(timing),
        };
        if !is_enough && count < MAX_REFRESHES {
            let age = match rule {
                // The first one at once.
                RefreshRule::Twice => since_last.unwrap_or(Duration::MAX),
                RefreshRule::Once => since_last.unwrap_or(Duration::MAX).min(self.known_for),
            };
            return after(timing.between(), age, RefreshStep::Refresh);
        }
        let age = since_last.unwrap_or_default();
        match state {
            UnnamedState::Resolved => match self.evidence(timing) {
                Some(evidence) => after(timing.settled(), age, RefreshStep::Proven(evidence)),
                // No check can find more than this one.
                None => after(timing.settled(), age, RefreshStep::Unproven),
            },
            UnnamedState::InProgress => RefreshStep::Wait(None),
            UnnamedState::Broken { has_changed } => {
                let believed_after = match has_changed {
                    true => Duration::ZERO,
                    false => timing.broken_after(),
                };
                if rule == RefreshRule::Once || count >= MAX_REFRESHES {
                    after(believed_after, age, RefreshStep::Broken)
                } else {
                    let pause = believed_after.max(timing.between());
                    after(pause, age, RefreshStep::Refresh)
                }
            }
        }
    }

    /// Whether two accepted refreshes have the pause between them.
    fn is_repeated(&self, timing: &RefreshTiming) -> bool {
        let mut accepted = self.refreshes.iter().filter(|it| it.is_accepted);
        let (first, last) = (accepted.next(), accepted.next_back());
        first
            .zip(last)
            .is_some_and(|(first, last)| first.age.saturating_sub(last.age) >= timing.between())
    }

    /// Whether an accepted refresh began well after the version was known.
    fn is_late(&self, timing: &RefreshTiming) -> bool {
        self.refreshes
            .iter()
            .any(|it| it.is_accepted && self.known_for.saturating_sub(it.age) >= timing.between())
    }

    /// The evidence if the references are resolved after the last refresh.
    fn evidence(&self, timing: &RefreshTiming) -> Option<Evidence> {
        if self.is_repeated(timing) {
            Some(Evidence::RefreshedTwice)
        } else {
            self.is_late(timing).then_some(Evidence::RefreshedOnce)
        }
    }
}

/// The step once `age` has reached `pause`; a wait for the rest of it before.
fn after(pause: Duration, age: Duration, step: RefreshStep) -> RefreshStep {
    match pause.checked_sub(age) {
        Some(rest) if !rest.is_zero() => RefreshStep::Wait(Some(rest)),
        _ => step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: RefreshTiming = RefreshTiming {
        takes: Duration::from_secs(15),
    };
    const UNCHANGED: UnnamedState = UnnamedState::Broken { has_changed: false };
    const CHANGED: UnnamedState = UnnamedState::Broken { has_changed: true };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn wait(rest: u64) -> RefreshStep {
        RefreshStep::Wait(Some(seconds(rest)))
    }

    /// A rotation that is known for a time, with refreshes of these ages; a negative one was not
    /// accepted.
    fn progress(known_for: u64, ages: &[i64]) -> RefreshProgress {
        let refreshes = ages.iter().map(|age| PastRefresh {
            age: seconds(age.unsigned_abs()),
            is_accepted: *age >= 0,
        });
        RefreshProgress {
            known_for: seconds(known_for),
            refreshes: refreshes.collect(),
        }
    }

    #[track_caller]
    fn twice(known_for: u64, ages: &[i64], state: UnnamedState, expected: RefreshStep) {
        let step = progress(known_for, ages).next_step(state, RefreshRule::Twice, &TIMING);
        assert_eq!(step, expected, "{ages:?}");
    }

    #[track_caller]
    fn once(known_for: u64, ages: &[i64], state: UnnamedState, expected: RefreshStep) {
        let step = progress(known_for, ages).next_step(state, RefreshRule::Once, &TIMING);
        assert_eq!(step, expected, "{ages:?}");
    }

    #[test]
    fn all_pauses_follow_from_the_time_of_a_refresh() {
        assert_eq!(TIMING.between(), seconds(20));
        assert_eq!(TIMING.settled(), seconds(18));
        assert_eq!(TIMING.written(), seconds(3));
        assert_eq!(TIMING.broken_after(), seconds(30));
        assert_eq!(TIMING.poll(), Duration::from_millis(2_500));
        assert_eq!(TIMING.lookahead(), seconds(60));
        assert_eq!(RefreshTiming::new(seconds(15)), TIMING);
    }

    #[test]
    fn refreshes_age_with_the_time_that_passes() {
        let later = progress(30, &[20, -5]).later(seconds(10));
        assert_eq!(later, progress(40, &[30, -15]));
    }

    #[test]
    fn two_refreshes_with_a_pause_between_them_are_the_evidence() {
        let resolved = UnnamedState::Resolved;
        let proven = RefreshStep::Proven(Evidence::RefreshedTwice);
        twice(0, &[], resolved, RefreshStep::Refresh);
        twice(5, &[5], resolved, wait(15));
        twice(20, &[20], resolved, RefreshStep::Refresh);
        twice(21, &[20, 0], resolved, wait(18));
        twice(39, &[38, 18], resolved, proven);
        twice(9_000, &[8_999, 8_000], resolved, proven);
    }

    #[test]
    fn two_refreshes_without_a_pause_are_none() {
        twice(10, &[9, 0], UnnamedState::Resolved, wait(20));
        twice(40, &[25, 19], UnnamedState::Resolved, wait(1));
        twice(50, &[26, 20], UnnamedState::Resolved, RefreshStep::Refresh);
    }

    #[test]
    fn a_refresh_that_azure_may_not_have_got_does_not_count_as_evidence() {
        let resolved = UnnamedState::Resolved;
        twice(5, &[-5], resolved, wait(15));
        twice(50, &[-30, 20], resolved, RefreshStep::Refresh);
        let proven = RefreshStep::Proven(Evidence::RefreshedTwice);
        twice(90, &[-70, 50, 20], resolved, proven);
        // Three are the limit, and one of them is late enough.
        let once = RefreshStep::Proven(Evidence::RefreshedOnce);
        twice(90, &[-70, -50, 20], resolved, once);
        twice(90, &[-70, -50, -17], resolved, wait(1));
        twice(90, &[-70, -50, -18], resolved, RefreshStep::Unproven);
        twice(62, &[60, -40, -20], resolved, RefreshStep::Unproven);
        let in_progress = UnnamedState::InProgress;
        twice(90, &[-70, -50, -20], in_progress, RefreshStep::Wait(None));
    }

    #[test]
    fn a_third_refresh_is_for_a_broken_reference_only() {
        let refresh = RefreshStep::Refresh;
        twice(
            45,
            &[40, 15],
            UnnamedState::InProgress,
            RefreshStep::Wait(None),
        );
        twice(45, &[40, 15], UNCHANGED, wait(15));
        twice(60, &[55, 30], UNCHANGED, refresh);
        twice(45, &[40, 15], CHANGED, wait(5));
        twice(50, &[45, 20], CHANGED, refresh);
        twice(99, &[95, 70, 29], UNCHANGED, wait(1));
        twice(99, &[95, 70, 30], UNCHANGED, RefreshStep::Broken);
        twice(99, &[95, 70, 2], CHANGED, RefreshStep::Broken);
    }

    #[test]
    fn a_single_refresh_waits_until_the_version_has_existed_for_a_while() {
        let resolved = UnnamedState::Resolved;
        once(0, &[], resolved, wait(20));
        once(20, &[], resolved, RefreshStep::Refresh);
        once(21, &[1], resolved, wait(17));
        once(
            38,
            &[18],
            resolved,
            RefreshStep::Proven(Evidence::RefreshedOnce),
        );
        once(50, &[30], UNCHANGED, RefreshStep::Broken);
        once(45, &[25], UNCHANGED, wait(5));
        once(50, &[30], UnnamedState::InProgress, RefreshStep::Wait(None));
    }

    #[test]
    fn a_refresh_that_began_too_early_is_no_evidence() {
        let resolved = UnnamedState::Resolved;
        once(10, &[5], resolved, wait(15));
        once(30, &[25], resolved, RefreshStep::Refresh);
        once(
            48,
            &[43, 18],
            resolved,
            RefreshStep::Proven(Evidence::RefreshedTwice),
        );
        once(90, &[85, 80, 75], resolved, RefreshStep::Unproven);
    }
}
