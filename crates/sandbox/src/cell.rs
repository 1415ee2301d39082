//! The place in which one call of a policy happens: made for it, and gone after it.

use std::time::Duration;

use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use crate::error::DecideError;
use crate::failure;
use crate::limits::{Exceeded, HANDLES, Limiter, Limits};
use crate::output::Output;
use crate::ticker::{TICK, Ticker};
use crate::world::World;

/// How long, beyond its time limit, the end of a call is waited for. The limit counts only the time in which the policy
/// runs, and nothing that is linked waits; should something ever, this ends it.
const PATIENCE: Duration = Duration::from_secs(10);
/// What one call of WASI may carry, in bytes, however small the limit of the answer.
const LEAST_COPIED: usize = 16 << 10;

/// What belongs to one instance of a policy.
pub(crate) struct Cell {
    world: World,
    /// Made of the world when it is asked for: a policy in Rust never does.
    wasi: Option<WasiCtx>,
    resources: ResourceTable,
    limiter: Limiter,
    output: Output,
    ticks_left: u128,
}

/// What a call came to.
pub(crate) struct Outcome<R> {
    pub(crate) result: Result<R, DecideError>,
    pub(crate) log: Vec<String>,
    pub(crate) memory: usize,
}

impl Cell {
    pub(crate) fn open(engine: &Engine, world: &World, limits: &Limits) -> Store<Self> {
        let output = Output::new(limits.log);
        let cell = Self {
            world: *world,
            wasi: None,
            resources: ResourceTable::new(),
            limiter: Limiter::new(limits),
            output,
            ticks_left: limits.time.as_nanos().div_ceil(TICK.as_nanos()),
        };
        let mut store = Store::new(engine, cell);
        store.limiter(|cell| &mut cell.limiter);
        store.set_hostcall_fuel(limits.answer.max(LEAST_COPIED));
        store.set_max_component_handles(HANDLES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| {
            let cell = store.data_mut();
            match cell.ticks_left.checked_sub(1) {
                None => Err(cell.limiter.exceed(Exceeded::Time)),
                Some(left) => {
                    cell.ticks_left = left;
                    // Others get their turn after every tick, and the ticks of their turns do not count here.
                    Ok(UpdateDeadline::YieldCustom(
                        1,
                        Box::pin(tokio::task::yield_now()),
                    ))
                }
            }
        });
        store
    }
}

/// Waits for a call that happens in a cell, for as long as the policy may take.
pub(crate) async fn within<R>(
    ticker: &Ticker,
    limits: &Limits,
    call: impl Future<Output = wasmtime::Result<R>>,
) -> Option<wasmtime::Result<R>> {
    let _awake = ticker.wake();
    tokio::time::timeout(limits.time.saturating_add(PATIENCE), call)
        .await
        .ok()
}

/// Closes the cell and says what the call came to; `answered` is none if it was not waited for any longer.
pub(crate) fn close<R>(
    store: Store<Cell>,
    answered: Option<wasmtime::Result<R>>,
    limits: &Limits,
) -> Outcome<R> {
    let Cell {
        limiter, output, ..
    } = store.into_data();
    let log = output.take_lines();
    let result = match answered {
        Some(Ok(answer)) => Ok(answer),
        None => Err(failure::of_limit(Exceeded::Time, limits)),
        Some(Err(error)) => Err(match limiter.exceeded() {
            Some(exceeded) => failure::of_limit(exceeded, limits),
            None if output.is_full() => DecideError::Log { limit: limits.log },
            None => failure::of_engine(&error, limits, &log),
        }),
    };
    Outcome {
        result,
        log,
        memory: limiter.memory(),
    }
}

impl WasiView for Cell {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self {
            world,
            wasi,
            output,
            resources,
            ..
        } = self;
        WasiCtxView {
            ctx: wasi.get_or_insert_with(|| world.wasi(output)),
            table: resources,
        }
    }
}
