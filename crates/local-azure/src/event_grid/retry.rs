//! Event Grid's retry schedule, and its reasons to give up.

use std::fmt;
use std::time::Duration;

/// The timeout of one attempt.
pub(super) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// The time to live of an event: both the default and the maximum.
pub(super) const TIME_TO_LIVE: Duration = Duration::from_secs(24 * 60 * 60);

/// The number of attempts: both the default and the maximum.
pub(super) const MAX_ATTEMPTS: u32 = 30;

/// The pauses after the first, second, ... attempt. The last one repeats.
const PAUSES: [Duration; 10] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(3 * 60 * 60),
    Duration::from_secs(6 * 60 * 60),
    LAST_PAUSE,
];

const LAST_PAUSE: Duration = Duration::from_secs(12 * 60 * 60);

/// The outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The endpoint responded with this status.
    Status(u16),
    /// The endpoint did not respond within the timeout. It may still be processing the events.
    TimedOut,
    /// The connection failed or was cut.
    Unreachable,
}

impl DeliveryOutcome {
    /// Whether the attempt succeeded. Event Grid accepts these five statuses and no others.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Status(200..=204))
    }

    /// The value of `lastDeliveryOutcome`.
    ///
    /// Event Grid's documentation names `NotFound` and does not list the others.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status(200..=204) => "Succeeded",
            Self::Status(400) => "BadRequest",
            Self::Status(401) => "Unauthorized",
            Self::Status(403) => "Forbidden",
            Self::Status(404) => "NotFound",
            Self::Status(408) | Self::TimedOut => "TimedOut",
            Self::Status(413) => "PayloadTooLarge",
            Self::Status(503) => "Busy",
            Self::Status(_) => "GenericError",
            Self::Unreachable => "SocketError",
        }
    }
}

impl fmt::Display for DeliveryOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Unreachable => f.write_str("unreachable"),
        }
    }
}

/// The step after an attempt. Durations are Azure's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Delivered,
    RetryAfter(Duration),
    /// Carries the value of `deadLetterReason`.
    GiveUp(&'static str),
}

/// Decides the next step. `attempts` includes the attempt just made, and `age` is the time since
/// the first one.
///
/// 400 and 413 are permanent rejections. Versions of Event Grid's documentation differ about 401,
/// 403 and 404: they are retried after five minutes or more, or not at all for some kinds of
/// endpoints. They are retried here, because a handler must be prepared for that.
pub(super) fn next(
    outcome: DeliveryOutcome,
    attempts: u32,
    age: Duration,
    max_attempts: u32,
) -> Next {
    let at_least = match outcome {
        _ if outcome.is_success() => return Next::Delivered,
        // The documentation does not name this reason.
        DeliveryOutcome::Status(400 | 413) => return Next::GiveUp("RejectedByEndpoint"),
        DeliveryOutcome::Status(401 | 403 | 404) => Duration::from_secs(5 * 60),
        DeliveryOutcome::Status(408) => Duration::from_secs(2 * 60),
        DeliveryOutcome::Status(503) => Duration::from_secs(30),
        _ => Duration::ZERO,
    };
    if attempts >= max_attempts {
        return Next::GiveUp("MaxDeliveryAttemptsExceeded");
    }
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let pause = PAUSES
        .get(index)
        .copied()
        .unwrap_or(LAST_PAUSE)
        .max(at_least);
    if age.saturating_add(pause) > TIME_TO_LIVE {
        return Next::GiveUp("TimeToLiveExceeded");
    }
    Next::RetryAfter(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outcome: DeliveryOutcome, attempts: u32, seconds: u64) {
        let found = next(outcome, attempts, Duration::ZERO, MAX_ATTEMPTS);
        assert_eq!(found, Next::RetryAfter(Duration::from_secs(seconds)));
    }

    #[test]
    fn follows_the_schedule() {
        let schedule = [
            10, 30, 60, 300, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 43_200,
        ];
        for (attempts, seconds) in (1..).zip(schedule) {
            check(DeliveryOutcome::Status(500), attempts, seconds);
            check(DeliveryOutcome::TimedOut, attempts, seconds);
            check(DeliveryOutcome::Unreachable, attempts, seconds);
        }
    }

    #[test]
    fn some_statuses_wait_longer() {
        for status in [401, 403, 404] {
            check(DeliveryOutcome::Status(status), 1, 300);
        }
        check(DeliveryOutcome::Status(408), 1, 120);
        check(DeliveryOutcome::Status(503), 1, 30);
        check(DeliveryOutcome::Status(503), 3, 60);
    }

    #[test]
    fn only_the_five_documented_statuses_are_a_success() {
        for status in 200..=204 {
            assert_eq!(
                next(DeliveryOutcome::Status(status), 1, Duration::ZERO, 1),
                Next::Delivered
            );
        }
        for status in [205, 206, 302, 304] {
            check(DeliveryOutcome::Status(status), 1, 10);
        }
    }

    #[test]
    fn a_rejection_is_permanent() {
        for status in [400, 413] {
            let found = next(
                DeliveryOutcome::Status(status),
                1,
                Duration::ZERO,
                MAX_ATTEMPTS,
            );
            assert_eq!(found, Next::GiveUp("RejectedByEndpoint"));
        }
    }

    #[test]
    fn gives_up_after_the_last_attempt_and_after_a_day() {
        let outcome = DeliveryOutcome::Status(500);
        assert_eq!(
            next(outcome, 3, Duration::ZERO, 3),
            Next::GiveUp("MaxDeliveryAttemptsExceeded")
        );
        assert_eq!(
            next(outcome, 1, TIME_TO_LIVE, 3),
            Next::GiveUp("TimeToLiveExceeded")
        );
    }
}
