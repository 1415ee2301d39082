//! The world around a policy: everything that WASI can ask for, and nothing in it.

use std::time::Duration;

use keyrelay_model::Event;
use rand::rngs::ChaCha12Rng;
use rand::{RngExt as _, SeedableRng as _};
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{self, DynPollable, Pollable};
use wasmtime_wasi::{HostWallClock, ResourceTable, WasiCtx, WasiView as _, async_trait};

use crate::cell::Cell;
use crate::digest::Digest;
use crate::output::Output;

/// The most random bytes that one call hands out: each is held in our memory on its way.
const RANDOM_BYTES: u64 = 64 << 10;

/// What makes one world differ from another. The same world gives the same answers, always.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    time: Duration,
    seed: [u8; 32],
}

impl World {
    /// The world in which an event is decided: its clock stands still at the event's time, its random numbers are derived
    /// from the event's id.
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            time: Duration::from_secs(event.time),
            seed: Digest::of(event.id.as_bytes()).into_bytes(),
        }
    }

    /// The world in which no event has happened.
    pub(crate) fn without_event() -> Self {
        Self {
            time: Duration::ZERO,
            seed: [0; 32],
        }
    }

    /// WASI without files, network, environment, arguments and input. What the policy prints goes to `output`.
    pub(crate) fn wasi(&self, output: &Output) -> WasiCtx {
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

/// Links WASI 0.2 and nothing else.
pub(crate) fn link(linker: &mut Linker<Cell>) -> wasmtime::Result<()> {
    p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<Cell, Timeless>(linker, |cell| Timeless(cell.ctx().table))?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The clock for durations, in a world without any: it shows 0, and every wait is over at once. So no host call waits,
/// and a policy's time is the time it runs.
struct Timeless<'a>(&'a mut ResourceTable);

impl HasData for Timeless<'static> {
    type Data<'a> = Timeless<'a>;
}

impl monotonic_clock::Host for Timeless<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(0)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, _when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let over = self.0.push(Over)?;
        p2::subscribe(self.0, over)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_instant(duration)
    }
}

/// A wait that is over.
struct Over;

#[async_trait]
impl Pollable for Over {
    async fn ready(&mut self) {}
}
