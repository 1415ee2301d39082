//! The control law by which several instances share one token bucket of Azure.
//!
//! Resource Manager counts the requests of a principal in a subscription, no matter what instance sends
//! them, and reports the tokens that are left in `x-ms-ratelimit-remaining-subscription-reads` and
//! `-writes` (learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling).
//! Each instance scales the pace of its own bucket by that number. All of them see the same number,
//! so each gets the same fraction, and the number settles where the fractions add up to what Azure
//! refills: no instance needs to know how many others there are.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Rate;

/// The least fraction of the pace. More instances than its inverse overrun Azure's bucket.
pub(super) const LEAST: f64 = 1.0 / 16.0;

/// How long a report holds. At the least fraction, writes bring one every 1.6 s.
const FRESH: Duration = Duration::from_secs(5);

/// The time after [`FRESH`] in which the fraction returns to 1: by then, Azure has refilled a fifth
/// of its bucket or more.
const RECOVERY: Duration = Duration::from_secs(5);

/// The time constant in seconds over which the fraction is averaged. A few round trips.
const SMOOTHING: f64 = 2.0;

/// The share of Azure's bucket that this instance takes.
#[derive(Debug)]
pub(super) struct Share {
    /// The number of remaining tokens below which the pace is scaled.
    ///
    /// A report is as old as the round trip. With a fourth of the bucket, the loop is stable for
    /// five instances at a round trip of two seconds; with a tenth it is not at one second.
    mark: f64,
    /// The number of Azure's tokens that background requests leave to events of all instances.
    reserve: f64,
    report: Option<Report>,
    /// The average of the fraction. Its inverse estimates the number of instances.
    average: f64,
    averaged: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Report {
    remaining: f64,
    at: Instant,
}

impl Share {
    /// Creates the share of an instance that has no report yet: everything.
    pub(super) fn new(rate: Rate, reserve: f64, now: Instant) -> Self {
        Self {
            mark: f64::from(rate.burst) / 4.0,
            reserve,
            report: None,
            average: 1.0,
            averaged: now,
        }
    }

    /// Notes the number of tokens that Azure's bucket has left.
    pub(super) fn reported(&mut self, remaining: u32, now: Instant) {
        self.report = Some(Report {
            remaining: f64::from(remaining),
            at: now,
        });
    }

    /// The fraction of the pace for requests for events, from 1/16 to 1. `in_flight` is the number
    /// of this instance's requests that have a token and no response.
    pub(super) fn fraction(&mut self, in_flight: usize, now: Instant) -> f64 {
        let fraction = self.above(0.0, in_flight, now);
        let seconds = now.saturating_duration_since(self.averaged).as_secs_f64();
        self.average += (fraction - self.average) * (1.0 - (-seconds / SMOOTHING).exp());
        self.averaged = self.averaged.max(now);
        fraction
    }

    /// The fraction of the pace for background requests. It falls before that for events does.
    pub(super) fn background_fraction(&self, in_flight: usize, now: Instant) -> f64 {
        self.above(self.reserve, in_flight, now)
    }

    /// The number of Azure's tokens that background requests may take, if it is known. Negative: the
    /// reserve is in use.
    pub(super) fn spare(&self, in_flight: usize) -> Option<f64> {
        Some(self.left(self.report?, in_flight) - self.reserve)
    }

    fn above(&self, reserve: f64, in_flight: usize, now: Instant) -> f64 {
        let Some(report) = self.report else {
            return 1.0;
        };
        let left = self.left(report, in_flight) - reserve;
        let fraction = (left / self.mark).clamp(LEAST, 1.0);
        let outdated = now.saturating_duration_since(report.at);
        let outdated = outdated.saturating_sub(FRESH).as_secs_f64();
        let recovered = (outdated / RECOVERY.as_secs_f64()).min(1.0);
        fraction + (1.0 - fraction) * recovered
    }

    /// The number of Azure's tokens that are left when all requests in flight have taken theirs.
    ///
    /// They may have taken them after the report. Those of the other instances are as many for each
    /// of them: if they did not count, a slow Azure would make all instances run into 429 together,
    /// pause together, and start again together.
    fn left(&self, report: Report, in_flight: usize) -> f64 {
        report.remaining - in_flight as f64 / self.average.max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 200,
        per_second: 10.0,
    };

    fn share(now: Instant) -> Share {
        Share::new(RATE, 40.0, now)
    }

    #[track_caller]
    fn check(found: f64, expected: f64) {
        assert!((found - expected).abs() < 0.001, "{found}, not {expected}");
    }

    #[test]
    fn without_a_report_the_pace_is_the_full_one() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1_000);
        check(share(now).fraction(1_000, later), 1.0);
        check(share(now).background_fraction(1_000, later), 1.0);
    }

    #[test]
    fn below_the_mark_the_pace_is_in_proportion_to_what_is_left() {
        for (remaining, expected) in [(11_999, 1.0), (50, 1.0), (25, 0.5), (5, 0.1), (0, LEAST)] {
            let now = Instant::now();
            let mut share = share(now);
            share.reported(remaining, now);
            check(share.fraction(0, now), expected);
        }
    }

    #[test]
    fn background_requests_leave_a_reserve() {
        for (remaining, expected) in [(90, 1.0), (65, 0.5), (45, 0.1), (40, LEAST), (0, LEAST)] {
            let now = Instant::now();
            let mut share = share(now);
            share.reported(remaining, now);
            check(share.background_fraction(0, now), expected);
        }
    }

    #[test]
    fn requests_in_flight_count_as_taken_for_each_instance_that_there_seems_to_be() {
        let now = Instant::now();
        let mut share = share(now);
        share.reported(40, now);
        check(share.fraction(15, now), 0.5);
        // After some time at a half, there seem to be two instances.
        let later = now + Duration::from_secs(100);
        share.reported(25, later);
        check(share.fraction(0, later), 0.5);
        share.reported(45, later);
        check(share.fraction(10, later), 0.5);
    }

    #[test]
    fn an_old_report_loses_its_effect() {
        let now = Instant::now();
        let mut share = share(now);
        share.reported(25, now);
        for (millis, expected) in [(5_000, 0.5), (7_500, 0.75), (10_000, 1.0), (60_000, 1.0)] {
            let later = now + Duration::from_millis(millis);
            check(share.fraction(0, later), expected);
        }
        let later = now + Duration::from_secs(60);
        share.reported(25, later);
        check(share.fraction(0, later), 0.5);
    }
}
