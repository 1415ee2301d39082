//! Timer functions: they run on their schedule, on one instance after the other, and never twice at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::files::{Function, Trigger};
use super::instances::Turn;
use super::schedule::Schedule;
use super::{Host, Invocation, envelope};

/// One timer function.
#[derive(Debug)]
pub(super) struct Timer {
    function: Function,
    schedule: Schedule,
    run_on_startup: bool,
    turn: Turn,
    /// When it ran last. Held while it runs.
    last: Mutex<Option<Timestamp>>,
}

/// The timers among the functions, by name.
pub(super) fn of_functions(functions: &BTreeMap<String, Function>) -> BTreeMap<String, Timer> {
    let timer = |function: &Function| match &function.trigger {
        Trigger::Timer {
            schedule,
            run_on_startup,
        } => Some(Timer {
            function: function.clone(),
            schedule: schedule.clone(),
            run_on_startup: *run_on_startup,
            turn: Turn::default(),
            last: Mutex::new(None),
        }),
        _ => None,
    };
    functions
        .iter()
        .filter_map(|(name, function)| Some((name.clone(), timer(function)?)))
        .collect()
}

/// Starts one task for each timer.
pub(super) fn run_all(host: &Arc<Host>) -> Vec<AbortOnDropHandle<()>> {
    let run = |name: &String| {
        AbortOnDropHandle::new(tokio::spawn(run_on_schedule(
            Arc::clone(host),
            name.clone(),
        )))
    };
    host.timers.keys().map(run).collect()
}

async fn run_on_schedule(host: Arc<Host>, name: String) {
    let Some(timer) = host.timers.get(&name) else {
        return;
    };
    if timer.run_on_startup {
        host.run_timer(timer).await;
    }
    while let Some(next) = timer.schedule.next_after(Timestamp::now()) {
        let pause = next.duration_since(Timestamp::now());
        // A negative pause means that the time is now.
        tokio::time::sleep(Duration::try_from(pause).unwrap_or_default()).await;
        if host.instances.status().is_final() {
            return;
        }
        host.run_timer(timer).await;
    }
}

impl Host {
    /// Runs a timer function, after the run that may be under way.
    pub(super) async fn run_timer(&self, timer: &Timer) -> Invocation {
        let mut last = timer.last.lock().await;
        let body = envelope::of_timer(&timer.function, &timer.schedule, *last);
        *last = Some(Timestamp::now());
        self.run(&timer.function, &timer.turn, Ok(body)).await
    }
}
