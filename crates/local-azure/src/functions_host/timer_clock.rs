//! The clock of timer schedules, which may run faster than Azure's.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;

/// A clock that shows the real time at its start and runs faster from then on.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimerClock {
    start: Timestamp,
    clock: Clock,
}

impl TimerClock {
    pub(super) fn started(times_faster: f64) -> Self {
        Self {
            start: Timestamp::now(),
            clock: Clock::new(times_faster),
        }
    }

    /// The time that the clock shows.
    pub(super) fn time(self) -> Timestamp {
        self.at(Timestamp::now())
    }

    /// The real time until the clock shows `time`. Zero for a time in the past, so a late timer is
    /// due.
    pub(super) fn pause_until(self, time: Timestamp) -> Duration {
        let pause = time.duration_since(self.time());
        self.clock
            .shorten(Duration::try_from(pause).unwrap_or_default())
    }

    /// The time that the clock shows at a real time.
    fn at(self, real: Timestamp) -> Timestamp {
        let passed = Duration::try_from(real.duration_since(self.start)).unwrap_or_default();
        self.start
            .checked_add(self.clock.lengthen(passed))
            .unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_faster_from_its_start_on() {
        let clock = TimerClock::started(60.0);
        let later = clock.start + Duration::from_secs(2);
        assert_eq!(clock.at(clock.start), clock.start);
        assert_eq!(clock.at(later), clock.start + Duration::from_secs(120));
    }

    #[test]
    fn a_time_in_the_past_is_due() {
        let clock = TimerClock::started(60.0);
        let past = clock.start - Duration::from_secs(1);
        assert_eq!(clock.pause_until(past), Duration::ZERO);
    }
}
