//! The time from the start of the process to its first response, and its memory at rest.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};

use crate::app;
use crate::process::{NO_CONTAINER, Server};

/// The numbers of policies.
pub(crate) const POLICIES: [usize; 3] = [10, 100, 1_000];

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("start");
    group.sample_size(50);
    group.bench_function("floor", |bencher| {
        bencher.iter_custom(|times| time(times, Server::floor))
    });
    for count in POLICIES {
        let folder = app::folder("");
        app::with_precompiled_policies(folder.path(), count);
        group.bench_function(BenchmarkId::new("keyrelay", count), |bencher| {
            bencher.iter_custom(|times| time(times, || Server::keyrelay(folder.path())));
        });
    }
    group.finish();
}

fn time(times: u64, start: impl Fn() -> Server) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..times {
        let began = Instant::now();
        let server = start();
        server.until_ready();
        total += began.elapsed();
    }
    total
}

/// The memory of a server at rest, in bytes.
pub(crate) struct MemoryAtRest {
    pub(crate) floor: u64,
    /// By the number of its policies.
    pub(crate) keyrelay: Vec<(usize, u64)>,
}

pub(crate) fn memory() -> MemoryAtRest {
    let floor = Server::floor();
    floor.until_ready();
    let keyrelay = POLICIES.map(|count| {
        let folder = app::folder("");
        app::with_precompiled_policies(folder.path(), count);
        (
            count,
            Server::keyrelay_at_rest(folder.path(), NO_CONTAINER).memory(),
        )
    });
    MemoryAtRest {
        floor: floor.memory(),
        keyrelay: keyrelay.into(),
    }
}
