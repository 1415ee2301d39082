//! The clock by which the time of policies is measured.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// How long an epoch of the engines lasts.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// A thread that advances the engines' epochs while a policy runs, and sleeps while none does: an idle process has no
/// wake-ups. The thread ends with the ticker.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Keeps the ticker awake as long as it lives.
#[derive(Debug)]
pub(crate) struct Awake<'a>(&'a Shared);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    asleep: bool,
    stopped: bool,
}

impl Ticker {
    pub(crate) fn start(engines: [Engine; 2]) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
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
        // Telling a thread that is awake would cost a system call in every decision.
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
            // A panic of the thread has been reported by its hook; there is nothing left to do about it.
            let _ = thread.join();
        }
    }
}

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding the lock, and a count is right even if somebody did.
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
