//! The WASI context of a policy: every interface of WASI 0.2, without any capability.

use std::time::Duration;

use keyrelay_model::Event;
use rand::rngs::ChaCha12Rng;
use rand::{RngExt as _, SeedableRng as _};
use wasmtime_wasi::{HostWallClock, WasiCtx};

use crate::digest::Digest;
use crate::output::Output;

/// The most random bytes that one call returns. Each of them is copied through our memory.
const RANDOM_BYTES: u64 = 64 << 10;

/// The inputs that differ between two WASI contexts. Equal contexts make a policy return equal
/// decisions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WasiContext {
    time: Duration,
    seed: [u8; 32],
}

impl WasiContext {
    /// The context for deciding about an event. The clock stands still at the event's time; random
    /// numbers are derived from the event's id.
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            time: Duration::from_secs(event.time),
            seed: Digest::of(event.id.as_bytes()).into_bytes(),
        }
    }

    /// The context for calls that are not about an event.
    pub(crate) fn without_event() -> Self {
        Self {
            time: Duration::ZERO,
            seed: [0; 32],
        }
    }

    /// Builds WASI without files, network, environment, arguments and input. Printed text goes to
    /// `output`.
    pub(crate) fn build(&self, output: &Output) -> WasiCtx {
        // The insecure numbers need not differ from the secure ones: none of them is secret here.
        let numbers = || ChaCha12Rng::from_seed(self.seed);
        WasiCtx::builder()
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .wall_clock(StoppedClock(self.time))
            .secure_random(numbers())
            .insecure_random(numbers())
            .insecure_random_seed(numbers().random())
            .max_random_size(RANDOM_BYTES)
            .stdout(output.stdout())
            .stderr(output.stderr())
            .build()
    }
}

/// A clock that always shows the same time.
#[derive(Debug, Clone, Copy)]
struct StoppedClock(Duration);

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}
