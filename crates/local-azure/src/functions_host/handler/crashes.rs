//! The limit of crashes.

use std::time::Duration;

use tokio::time::Instant;

/// Counts crashes in close succession.
///
/// Source: `HttpFunctionInvocationDispatcher` in Azure/azure-functions-host, which stops at the
/// third error when less than 30 minutes lie between two.
#[derive(Debug)]
pub(super) struct Crashes {
    max: usize,
    interval: Duration,
    close: usize,
    last: Option<Instant>,
}

impl Crashes {
    pub(super) fn new(max: usize, interval: Duration) -> Self {
        Self {
            max,
            interval,
            close: 0,
            last: None,
        }
    }

    /// Counts a crash. Returns whether the limit is reached.
    pub(super) fn reaches_limit(&mut self, now: Instant) -> bool {
        if self
            .last
            .is_some_and(|last| now.duration_since(last) > self.interval)
        {
            self.close = 0;
        }
        self.last = Some(now);
        self.close += 1;
        self.close >= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1_800);

    /// Checks crashes with these pauses, in seconds, against the index of the fatal one.
    fn check(pauses: &[u64], fatal: Option<usize>) {
        let mut crashes = Crashes::new(3, INTERVAL);
        let mut now = Instant::now();
        let found = pauses.iter().position(|seconds| {
            now += Duration::from_secs(*seconds);
            crashes.reaches_limit(now)
        });
        assert_eq!(found, fatal);
    }

    #[test]
    fn the_third_crash_in_a_row_is_too_many() {
        check(&[0, 1, 1], Some(2));
        check(&[0, 1_800, 1_800], Some(2));
    }

    #[test]
    fn crashes_far_apart_are_not_counted() {
        check(&[0, 1_801, 1_801, 1_801, 1_801], None);
        check(&[0, 1, 1_801, 1, 1], Some(4));
    }
}
