//! Several instances that draw from one bucket of Azure.

use std::cell::{Cell, RefCell};

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::limits::Rate;

/// Azure's bucket of reads or writes, as documented, and the instances that draw from it.
struct Simulation {
    azure: RefCell<(f64, Instant)>,
    kind: RequestKind,
    rate: Rate,
    round_trip: Duration,
    /// Seeded, so that each run of a test is the same.
    random: RefCell<StdRng>,
    rejected: Cell<u32>,
    accepted: Vec<Cell<u32>>,
}

impl Simulation {
    fn new(kind: RequestKind, instances: usize, round_trip: Duration) -> Self {
        let (burst, per_second) = match kind {
            RequestKind::Read => (250, 25.0),
            RequestKind::Write => (200, 10.0),
        };
        Self {
            azure: RefCell::new((f64::from(burst), Instant::now())),
            kind,
            rate: Rate { burst, per_second },
            round_trip,
            random: RefCell::new(StdRng::seed_from_u64(1)),
            rejected: Cell::new(0),
            accepted: vec![Cell::new(0); instances],
        }
    }

    /// Takes a token of Azure's. Returns the number of remaining ones.
    fn take(&self) -> Option<u32> {
        let (tokens, filled) = &mut *self.azure.borrow_mut();
        let filling = filled.elapsed().as_secs_f64() * self.rate.per_second;
        *filled = Instant::now();
        *tokens = f64::from(self.rate.burst).min(*tokens + filling);
        if *tokens < 1.0 {
            return None;
        }
        *tokens -= 1.0;
        Some(tokens.floor() as u32)
    }

    /// Sends one request. Whether Azure accepts it.
    async fn send(&self, throttle: &Throttle, instance: usize, priority: Priority) -> bool {
        let permit = throttle.acquire(self.kind, soon(), priority).await;
        // No two requests take the same time.
        let way = || {
            let part = self.random.borrow_mut().random_range(0.3..0.7);
            self.round_trip.mul_f64(part)
        };
        tokio::time::sleep(way()).await;
        let taken = self.take();
        tokio::time::sleep(way()).await;
        drop(permit);
        match taken {
            Some(remaining) => {
                throttle.accepted(self.kind, Some(remaining));
                self.accepted[instance].set(self.accepted[instance].get() + 1);
            }
            None => {
                throttle.rejected(self.kind, Some(Duration::from_secs(1)));
                self.rejected.set(self.rejected.get() + 1);
            }
        }
        taken.is_some()
    }

    /// Sends as many requests as the throttles of all instances allow.
    async fn run(&self, throttles: &[Throttle], priority: Priority, time: Duration) {
        let senders = throttles.iter().enumerate().flat_map(|it| [it; 40]);
        let senders = senders.map(|(instance, throttle)| async move {
            loop {
                self.send(throttle, instance, priority).await;
            }
        });
        let _ = tokio::time::timeout(time, join_all(senders)).await;
    }

    fn forget(&self) {
        self.rejected.set(0);
        self.accepted.iter().for_each(|count| count.set(0));
    }

    fn counts(&self) -> Vec<f64> {
        let counts = self.accepted.iter();
        counts.map(|count| f64::from(count.get())).collect()
    }
}

fn throttles(instances: usize) -> Vec<Throttle> {
    (0..instances).map(|_| throttle()).collect()
}

const MINUTE: Duration = Duration::from_secs(60);

/// Lets the burst pass, and then checks a minute.
async fn check_shares(kind: RequestKind, instances: usize, round_trip_ms: u64) {
    let case = format!("{instances} instances, {kind:?}, {round_trip_ms} ms");
    let azure = Simulation::new(kind, instances, Duration::from_millis(round_trip_ms));
    let throttles = throttles(instances);
    azure
        .run(&throttles, Priority::Event, Duration::from_secs(40))
        .await;
    azure.forget();
    azure.run(&throttles, Priority::Event, MINUTE).await;
    assert_eq!(azure.rejected.get(), 0, "{case}");
    let counts = azure.counts();
    let total: f64 = counts.iter().sum::<f64>() / 60.0 / azure.rate.per_second;
    assert!((0.9..1.1).contains(&total), "{case}: {total} of the rate");
    let most = counts.iter().copied().fold(0.0, f64::max);
    let least = counts.iter().copied().fold(f64::MAX, f64::min);
    assert!(most / least < 1.5, "{case}: {counts:?}");
}

#[tokio::test(start_paused = true)]
async fn instances_share_the_rate_without_a_429() {
    for instances in [1, 3, 5] {
        for round_trip in [100, 300, 1_000] {
            check_shares(RequestKind::Read, instances, round_trip).await;
            check_shares(RequestKind::Write, instances, round_trip).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_instance_causes_no_429_from_the_start() {
    for round_trip in [50, 300, 1_000] {
        let azure = Simulation::new(RequestKind::Read, 1, Duration::from_millis(round_trip));
        azure.run(&throttles(1), Priority::Event, MINUTE).await;
        assert_eq!(azure.rejected.get(), 0);
        let all = 250.0 + 60.0 * 25.0;
        let sent = azure.counts()[0];
        // A fourth of the burst stays with Azure, and requests of a second or more begin slowly.
        assert!(sent > all - 150.0, "{sent} of {all} at {round_trip} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn background_requests_of_all_instances_leave_tokens_to_an_event() {
    let azure = Simulation::new(RequestKind::Read, 4, Duration::from_millis(300));
    let throttles = throttles(4);
    let (busy, idle) = throttles.split_at(3);
    azure.run(busy, Priority::Background, MINUTE).await;
    azure.forget();
    let event = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        let began = Instant::now();
        let requests = (0..40).map(|_| azure.send(&idle[0], 3, Priority::Event));
        let accepted = join_all(requests).await;
        (accepted, began.elapsed())
    };
    let background = azure.run(busy, Priority::Background, MINUTE);
    let (_, (accepted, took)) = tokio::join!(background, event);
    assert!(accepted.iter().all(|accepted| *accepted));
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(azure.rejected.get(), 0);
    let total: f64 = azure.counts().iter().sum::<f64>() / 60.0 / 25.0;
    assert!((0.9..1.1).contains(&total), "{total} of the rate");
}
