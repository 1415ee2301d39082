//! Timer functions. Each runs on its schedule, on one instance after the other, and never
//! concurrently with itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::envelope;
use super::files::function::{Function, FunctionTrigger};
use super::instances::RoundRobin;
use super::invocation::Invocation;
use super::invoker::Invoker;
use super::schedule::Schedule;
use super::timer_clock::TimerClock;

/// One timer function.
#[derive(Debug)]
pub(super) struct Timer {
    function: Function,
    schedule: Schedule,
    run_on_startup: bool,
    round: RoundRobin,
    /// The time of the last run. Locked during a run.
    last: Mutex<Option<Timestamp>>,
}

impl Timer {
    /// The timers among the functions, by name.
    pub(super) fn of_functions(
        functions: &BTreeMap<String, Function>,
    ) -> BTreeMap<String, Arc<Self>> {
        functions
            .iter()
            .filter_map(|(name, function)| Some((name.clone(), Arc::new(Self::new(function)?))))
            .collect()
    }

    fn new(function: &Function) -> Option<Self> {
        match &function.trigger {
            FunctionTrigger::Timer {
                schedule,
                run_on_startup,
            } => Some(Self {
                function: function.clone(),
                schedule: schedule.clone(),
                run_on_startup: *run_on_startup,
                round: RoundRobin::default(),
                last: Mutex::new(None),
            }),
            _ => None,
        }
    }

    /// Runs the function once, after the current run if there is one.
    pub(super) async fn run(&self, invoker: &Invoker) -> Invocation {
        let mut last = self.last.lock().await;
        let body = envelope::of_timer(&self.function, &self.schedule, *last);
        *last = Some(Timestamp::now());
        invoker.run(&self.function, &self.round, Ok(body)).await
    }

    /// Runs the function on its schedule until the handlers have stopped.
    async fn run_on_schedule(self: Arc<Self>, invoker: Arc<Invoker>, clock: TimerClock) {
        if self.run_on_startup {
            self.run(&invoker).await;
        }
        while let Some(next) = self.schedule.next_after(clock.time()) {
            tokio::time::sleep(clock.pause_until(next)).await;
            if invoker.instances.status().is_final() {
                return;
            }
            self.run(&invoker).await;
        }
    }
}

/// Spawns one task per timer.
pub(super) fn spawn_all(
    timers: &BTreeMap<String, Arc<Timer>>,
    invoker: &Arc<Invoker>,
    clock: f64,
) -> Vec<AbortOnDropHandle<()>> {
    let clock = TimerClock::started(clock);
    let spawn = |timer: &Arc<Timer>| {
        let run = Arc::clone(timer).run_on_schedule(Arc::clone(invoker), clock);
        AbortOnDropHandle::new(tokio::spawn(run))
    };
    timers.values().map(spawn).collect()
}
