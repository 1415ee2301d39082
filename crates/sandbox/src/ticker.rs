//! Advances the epochs by which the run time of policies is measured.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// The length of an epoch of the engines.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// A thread that advances the engines' epochs while a policy runs. It sleeps otherwise, so an idle
/// process has no wake-ups. The thread ends when the ticker is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<TickerShared>,
    thread: Option<JoinHandle<()>>,
}

/// Keeps the ticker awake until it is dropped.
#[derive(Debug)]
pub(crate) struct Awake<'a>(&'a TickerShared);

#[derive(Debug, Default)]
struct TickerShared {
    state: Mutex<TickerState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct TickerState {
    running: usize,
    asleep: bool,
    stopped: bool,
}

impl Ticker {
    pub(crate) fn start(engines: [Engine; 2]) -> io::Result<Self> {
        let shared = Arc::new(TickerShared::default());
        let thread = {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("policy-ticker".to_owned())
                .spawn(move || shared.tick(&engines))?
        };
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    pub(crate) fn wake(&self) -> Awake<'_> {
        let mut state = self.shared.lock();
        state.running += 1;
        // Notifying a thread that is awake would cost a system call in every decision.
        if state.asleep {
            self.shared.changed.notify_one();
        }
        Awake(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

impl TickerShared {
    fn lock(&self) -> MutexGuard<'_, TickerState> {
        // The counts stay correct even if a thread panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self, engines: &[Engine]) {
        loop {
            let mut state = self.lock();
            while state.running == 0 && !state.stopped {
                state.asleep = true;
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.asleep = false;
            }
            if state.stopped {
                return;
            }
            drop(state);
            thread::sleep(TICK);
            engines.iter().for_each(Engine::increment_epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[track_caller]
    fn check_becomes(ticker: &Ticker, asleep: bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while ticker.shared.lock().asleep != asleep {
            assert!(
                Instant::now() < deadline,
                "still not {}",
                if asleep { "asleep" } else { "awake" }
            );
            thread::yield_now();
        }
    }

    #[test]
    fn is_awake_only_while_a_policy_runs() {
        let ticker = Ticker::start([Engine::default(), Engine::default()]).unwrap();
        check_becomes(&ticker, true);
        let (first, second) = (ticker.wake(), ticker.wake());
        check_becomes(&ticker, false);
        drop(first);
        assert_eq!(ticker.shared.lock().running, 1);
        drop(second);
        check_becomes(&ticker, true);
    }
}
