//! Links WASI 0.2, with a monotonic clock that stands still.

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{self, DynPollable, Pollable};
use wasmtime_wasi::{ResourceTable, WasiView as _, async_trait};

use crate::store_data::StoreData;

/// Adds WASI 0.2 to a linker.
pub(crate) fn link(linker: &mut Linker<StoreData>) -> wasmtime::Result<()> {
    p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<StoreData, StoppedMonotonicClock>(linker, |data| {
        StoppedMonotonicClock(data.ctx().table)
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// A monotonic clock that always shows 0, and whose timers have always elapsed.
///
/// No host call waits, so the time of a policy is the time in which it runs.
struct StoppedMonotonicClock<'a>(&'a mut ResourceTable);

impl HasData for StoppedMonotonicClock<'static> {
    type Data<'a> = StoppedMonotonicClock<'a>;
}

impl monotonic_clock::Host for StoppedMonotonicClock<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(0)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, _when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let elapsed = self.0.push(ElapsedTimer)?;
        p2::subscribe(self.0, elapsed)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_instant(duration)
    }
}

/// A timer that has elapsed.
struct ElapsedTimer;

#[async_trait]
impl Pollable for ElapsedTimer {
    async fn ready(&mut self) {}
}
