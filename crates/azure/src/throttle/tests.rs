mod sharing;

use futures::future::join_all;
use tokio::time::Instant;

use super::*;

fn throttle() -> Throttle {
    Throttle::new(&RequestLimits::default(), true)
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(3_600))
}

/// The time that sequential requests take.
async fn time_of(throttle: &Throttle, kind: RequestKind, requests: u32) -> Duration {
    let started = Instant::now();
    for _ in 0..requests {
        drop(
            throttle
                .acquire(kind, soon(), Priority::Event)
                .await
                .unwrap(),
        );
    }
    started.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_reads_keep_to_the_rate() {
    let RequestLimits { reads, .. } = RequestLimits::default();
    let least = f64::from(1_000 - reads.burst) / reads.per_second;
    let took = time_of(&throttle(), RequestKind::Read, 1_000)
        .await
        .as_secs_f64();
    assert!(
        took >= least && took < least * 1.1,
        "{took} s, at least {least} s"
    );
}

#[tokio::test(start_paused = true)]
async fn reads_do_not_wait_for_writes() {
    let throttle = throttle();
    let RequestLimits { writes, .. } = RequestLimits::default();
    assert_eq!(
        time_of(&throttle, RequestKind::Write, writes.burst).await,
        Duration::ZERO
    );
    assert!(time_of(&throttle, RequestKind::Write, 1).await > Duration::ZERO);
    assert_eq!(
        time_of(&throttle, RequestKind::Read, 1).await,
        Duration::ZERO
    );
}

#[tokio::test(start_paused = true)]
async fn a_429_pauses_all_requests_and_then_releases_them_one_by_one() {
    let throttle = throttle();
    let RequestLimits { reads, .. } = RequestLimits::default();
    throttle.rejected(RequestKind::Read, Some(Duration::from_secs(30)));
    let started = Instant::now();
    assert!(
        time_of(&throttle, RequestKind::Read, 20)
            .await
            .as_secs_f64()
            >= 30.0 + 20.0 / reads.per_second
    );
    assert!(started.elapsed() < Duration::from_secs(32));
}

#[tokio::test(start_paused = true)]
async fn a_429_without_retry_after_pauses_longer_each_time_until_a_success() {
    let throttle = throttle();
    let mut pauses = Vec::new();
    for _ in 0..6 {
        throttle.rejected(RequestKind::Write, None);
        pauses.push(time_of(&throttle, RequestKind::Write, 1).await.as_millis() / 100 * 100);
    }
    // The bucket needs another tenth of a second for a token.
    assert_eq!(pauses, [600, 1_100, 2_100, 4_100, 8_100, 8_100]);
    throttle.accepted(RequestKind::Write, None);
    throttle.rejected(RequestKind::Write, None);
    assert!(time_of(&throttle, RequestKind::Write, 1).await < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn azures_remaining_tokens_apply_if_they_are_fewer() {
    let throttle = throttle();
    throttle.accepted(RequestKind::Read, Some(3));
    assert_eq!(
        time_of(&throttle, RequestKind::Read, 3).await,
        Duration::ZERO
    );
    assert!(time_of(&throttle, RequestKind::Read, 1).await > Duration::ZERO);
    throttle.accepted(RequestKind::Read, Some(200));
    assert!(
        time_of(&throttle, RequestKind::Read, 1).await > Duration::ZERO,
        "a larger number does not add tokens"
    );
}

#[tokio::test(start_paused = true)]
async fn few_remaining_tokens_slow_the_refill_until_the_report_is_old() {
    let throttle = throttle();
    let RequestLimits { writes, .. } = RequestLimits::default();
    time_of(&throttle, RequestKind::Write, writes.burst).await;
    throttle.accepted(RequestKind::Write, Some(0));
    // A token every 1.6 s.
    let slow = time_of(&throttle, RequestKind::Write, 2).await;
    assert!((3.0..3.5).contains(&slow.as_secs_f64()), "{slow:?}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    time_of(&throttle, RequestKind::Write, writes.burst).await;
    let recovered = time_of(&throttle, RequestKind::Write, 10).await;
    assert!(recovered < Duration::from_millis(1_100), "{recovered:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_after_the_deadline_is_neither_waited_for_nor_taken() {
    let throttle = throttle();
    throttle.rejected(RequestKind::Read, Some(Duration::from_secs(30)));
    let started = Instant::now();
    for _ in 0..100 {
        assert!(
            throttle
                .acquire(
                    RequestKind::Read,
                    Deadline::after(Duration::from_secs(10)),
                    Priority::Event
                )
                .await
                .is_none()
        );
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert!(time_of(&throttle, RequestKind::Read, 1).await.as_secs_f64() < 30.1);
}

#[tokio::test(start_paused = true)]
async fn a_vault_has_no_bucket_but_pauses_after_a_429() {
    let throttle = Throttle::new(&RequestLimits::default(), false);
    assert_eq!(
        time_of(&throttle, RequestKind::Read, 10_000).await,
        Duration::ZERO
    );
    throttle.rejected(RequestKind::Read, Some(Duration::from_secs(5)));
    assert_eq!(
        time_of(&throttle, RequestKind::Read, 1_000).await,
        Duration::from_secs(5)
    );
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_left_at_the_deadline() {
    let throttle = &throttle();
    throttle.rejected(RequestKind::Read, Some(Duration::from_secs(30)));
    let started = Instant::now();
    // The first waits for its token at the head of the queue; the others wait behind it.
    let first = throttle.acquire(RequestKind::Read, soon(), Priority::Event);
    let behind = join_all((1..=10).map(|seconds| async move {
        let deadline = Deadline::after(Duration::from_secs(seconds));
        (
            throttle
                .acquire(RequestKind::Read, deadline, Priority::Event)
                .await
                .is_none(),
            started.elapsed().as_secs(),
        )
    }));
    let (first, behind) = tokio::join!(first, behind);
    assert!(first.is_some());
    let expected: Vec<_> = (1..=10).map(|seconds| (true, seconds)).collect();
    assert_eq!(behind, expected);
}

#[tokio::test(start_paused = true)]
async fn a_writer_without_tokens_before_its_deadline_returns_its_permit() {
    let throttle = throttle();
    let RequestLimits {
        writers, writes, ..
    } = RequestLimits::default();
    time_of(&throttle, RequestKind::Write, writes.burst).await;
    let started = Instant::now();
    for _ in 0..=writers {
        let deadline = Deadline::after(Duration::from_millis(50));
        assert!(
            throttle
                .writer(3, deadline, Priority::Event)
                .await
                .is_none()
        );
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert!(throttle.writer(3, soon(), Priority::Event).await.is_some());
}

/// Sends background requests one after the other, without end.
async fn background(throttle: &Throttle, sent: &std::cell::Cell<u32>) {
    loop {
        let priority = Priority::Background;
        drop(throttle.acquire(RequestKind::Read, soon(), priority).await);
        sent.set(sent.get() + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn background_requests_take_nine_tenths_of_the_pace_and_leave_a_reserve() {
    let (throttle, sent) = (throttle(), std::cell::Cell::new(0));
    let RequestLimits { reads, .. } = RequestLimits::default();
    let minute = Duration::from_secs(60);
    let _ = tokio::time::timeout(minute, background(&throttle, &sent)).await;
    let most = f64::from(reads.burst) * 0.8 + 60.0 * reads.per_second * 0.9;
    let sent = f64::from(sent.get());
    assert!(sent <= most + 1.0 && sent > most * 0.98, "{sent} of {most}");
    assert_eq!(
        time_of(&throttle, RequestKind::Read, reads.burst / 5).await,
        Duration::ZERO
    );
}

#[tokio::test(start_paused = true)]
async fn background_requests_slow_down_until_the_reserve_is_back() {
    let (throttle, sent) = (throttle(), std::cell::Cell::new(0));
    let RequestLimits { reads, .. } = RequestLimits::default();
    time_of(&throttle, RequestKind::Read, reads.burst).await;
    let refilled = Duration::from_secs_f64(f64::from(reads.burst / 5) / reads.per_second);
    let _ = tokio::time::timeout(refilled, background(&throttle, &sent)).await;
    let least = refilled.as_secs_f64() * reads.per_second / 16.0;
    assert!(f64::from(sent.get()) <= least, "{} of {least}", sent.get());
    sent.set(0);
    let _ = tokio::time::timeout(refilled * 2, background(&throttle, &sent)).await;
    assert!(f64::from(sent.get()) > least * 4.0, "{}", sent.get());
}

#[tokio::test(start_paused = true)]
async fn background_requests_go_on_while_others_keep_the_bucket_empty() {
    let (throttle, sent) = (throttle(), std::cell::Cell::new(0));
    let RequestLimits { reads, .. } = RequestLimits::default();
    let drained = async {
        loop {
            let priority = Priority::Background;
            drop(throttle.acquire(RequestKind::Read, soon(), priority).await);
            throttle.accepted(RequestKind::Read, Some(0));
            sent.set(sent.get() + 1);
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(60), drained).await;
    let least = 60.0 * reads.per_second / 16.0;
    assert!(
        f64::from(sent.get()) > least / 2.0,
        "{} of {least}",
        sent.get()
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_for_an_event_goes_before_background_requests() {
    let throttle = &throttle();
    let RequestLimits { reads, .. } = RequestLimits::default();
    time_of(throttle, RequestKind::Read, reads.burst).await;
    let behind = join_all((0..100).map(|_| async {
        let priority = Priority::Background;
        throttle.acquire(RequestKind::Read, soon(), priority).await;
        Instant::now()
    }));
    let event = async {
        // The background requests wait already.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let began = Instant::now();
        for _ in 0..10 {
            drop(
                throttle
                    .acquire(RequestKind::Read, soon(), Priority::Event)
                    .await,
            );
        }
        began.elapsed()
    };
    let (_, took) = tokio::join!(behind, event);
    let of_tokens = 11.0 / reads.per_second;
    assert!(took.as_secs_f64() < of_tokens + 0.1, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_stops_waiting_lets_background_requests_go_on() {
    let throttle = throttle();
    throttle.rejected(RequestKind::Read, Some(Duration::from_secs(5)));
    let event = throttle.acquire(RequestKind::Read, soon(), Priority::Event);
    let dropped = tokio::time::timeout(Duration::from_secs(1), event).await;
    assert!(dropped.is_err());
    let deadline = Deadline::after(Duration::from_secs(10));
    let priority = Priority::Background;
    let taken = throttle
        .acquire(RequestKind::Read, deadline, priority)
        .await;
    assert!(taken.is_some());
}
