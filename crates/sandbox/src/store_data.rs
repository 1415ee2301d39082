//! The data of the engine's store for one call of a policy. Each call has a store of its own.

use std::time::Duration;

use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use crate::error::DecideError;
use crate::failure;
use crate::limits::{Exceeded, HANDLES, Limiter, PolicyLimits};
use crate::output::Output;
use crate::redaction::Redaction;
use crate::ticker::{TICK, Ticker};
use crate::wasi_context::WasiContext;

/// The time that a call may take beyond its limit before it is abandoned.
///
/// The limit counts only the time in which the policy runs, and no linked function waits. This
/// deadline covers the case that one does.
const GRACE: Duration = Duration::from_secs(10);
/// The bytes that one WASI call may copy, even if the limit of the decision is smaller.
const MIN_COPIED: usize = 16 << 10;

/// The host's data for one instance of a policy.
pub(crate) struct StoreData {
    context: WasiContext,
    /// Built on the first WASI call. Policies in Rust make none.
    wasi: Option<WasiCtx>,
    resources: ResourceTable,
    limiter: Limiter,
    output: Output,
    ticks_left: u128,
}

/// The outcome of one call of a policy.
pub(crate) struct CallOutcome<R> {
    pub(crate) result: Result<R, DecideError>,
    pub(crate) log: Vec<String>,
    pub(crate) memory: usize,
}

impl StoreData {
    /// Creates the store for one call, with all limits set.
    pub(crate) fn open(
        engine: &Engine,
        context: &WasiContext,
        limits: &PolicyLimits,
    ) -> Store<Self> {
        let output = Output::new(limits.log);
        let data = Self {
            context: *context,
            wasi: None,
            resources: ResourceTable::new(),
            limiter: Limiter::new(limits),
            output,
            ticks_left: limits.time.as_nanos().div_ceil(TICK.as_nanos()),
        };
        let mut store = Store::new(engine, data);
        store.limiter(|data| &mut data.limiter);
        store.set_hostcall_fuel(limits.decision.max(MIN_COPIED));
        store.set_max_component_handles(HANDLES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| {
            let data = store.data_mut();
            match data.ticks_left.checked_sub(1) {
                None => Err(data.limiter.exceed(Exceeded::Time)),
                Some(left) => {
                    data.ticks_left = left;
                    // Yield after every tick. Ticks in which other policies run do not count here.
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

/// Runs a call with the ticker awake. Returns `None` if the call did not end within its limit and
/// the grace period.
pub(crate) async fn within<R>(
    ticker: &Ticker,
    limits: &PolicyLimits,
    call: impl Future<Output = wasmtime::Result<R>>,
) -> Option<wasmtime::Result<R>> {
    let _awake = ticker.wake();
    tokio::time::timeout(limits.time.saturating_add(GRACE), call)
        .await
        .ok()
}

/// Drops the store and converts the outcome of its call, without revealed text. `returned` is
/// `None` if the call was abandoned.
pub(crate) fn close<R>(
    store: Store<StoreData>,
    returned: Option<wasmtime::Result<R>>,
    limits: &PolicyLimits,
    redaction: &Redaction,
) -> CallOutcome<R> {
    let StoreData {
        limiter, output, ..
    } = store.into_data();
    let log = output.take_lines(redaction);
    let result = match returned {
        Some(Ok(value)) => Ok(value),
        None => Err(failure::of_limit(Exceeded::Time, limits)),
        Some(Err(error)) => Err(match limiter.exceeded() {
            Some(exceeded) => failure::of_limit(exceeded, limits),
            None if output.is_full() => DecideError::Log { limit: limits.log },
            None => failure::of_engine(&error, limits, &log, redaction),
        }),
    };
    CallOutcome {
        result,
        log,
        memory: limiter.memory(),
    }
}

impl WasiView for StoreData {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self {
            context,
            wasi,
            output,
            resources,
            ..
        } = self;
        WasiCtxView {
            ctx: wasi.get_or_insert_with(|| context.build(output)),
            table: resources,
        }
    }
}
