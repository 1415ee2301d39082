//! A clock that runs faster than Azure's, for Event Grid, timers and profiles.

use std::time::Duration;

/// The factor by which time is shortened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(f64);

impl Clock {
    pub(crate) fn new(times_faster: f64) -> Self {
        Self(times_faster)
    }

    /// Converts a duration of Azure to one of this clock.
    pub(crate) fn shorten(self, duration: Duration) -> Duration {
        Duration::try_from_secs_f64(duration.as_secs_f64() / self.0).unwrap_or(Duration::MAX)
    }

    /// Converts a duration of this clock to one of Azure.
    pub(crate) fn lengthen(self, duration: Duration) -> Duration {
        Duration::try_from_secs_f64(duration.as_secs_f64() * self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortens() {
        assert_eq!(
            Clock::new(100.0).shorten(Duration::from_secs(10)),
            Duration::from_millis(100)
        );
    }

    #[test]
    fn lengthens() {
        assert_eq!(
            Clock::new(100.0).lengthen(Duration::from_millis(100)),
            Duration::from_secs(10)
        );
    }

    #[test]
    fn a_stopped_clock_never_reaches_a_retry() {
        assert_eq!(
            Clock::new(0.0).shorten(Duration::from_secs(1)),
            Duration::MAX
        );
    }
}
