//! The instances of the app, each with a handler of its own, and which of them has its turn.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::{join_all, select_all};

use super::NoSuchInstance;
use super::handler::{Handler, HandlerStatus, Supervision, Supervisor};
use super::log::HostLog;

/// All instances. They are counted from 0, and there is at least one.
#[derive(Debug)]
pub(super) struct Instances {
    handlers: Vec<Handler>,
    start_timeout: Duration,
}

/// A handler that takes an invocation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) instance: usize,
    pub(super) pid: u32,
    pub(super) port: u16,
}

/// Where a round over the instances goes on.
#[derive(Debug, Default)]
pub(super) struct Turn(Mutex<usize>);

impl Instances {
    /// Starts a process on each. Fails if the executable cannot be started at all.
    pub(super) fn start(
        count: usize,
        supervision: &Supervision,
        client: &reqwest::Client,
        log: &HostLog,
    ) -> io::Result<(Self, Vec<Supervisor>)> {
        let start = |instance| {
            let mut supervision = supervision.clone();
            // Last, and so it wins over a setting of this name.
            supervision
                .launch
                .environment
                .push(("WEBSITE_INSTANCE_ID".to_owned(), super::random_hex()));
            Handler::start(supervision, client.clone(), log.of_instance(instance))
        };
        let started: Vec<_> = (0..count.max(1)).map(start).collect::<io::Result<_>>()?;
        let (handlers, supervisors) = started.into_iter().unzip();
        Ok((
            Self {
                handlers,
                start_timeout: supervision.start_timeout,
            },
            supervisors,
        ))
    }

    pub(super) fn get(&self, instance: usize) -> Result<&Handler, NoSuchInstance> {
        self.handlers.get(instance).ok_or(NoSuchInstance(instance))
    }

    /// The status of the first that runs, else of the first that starts, else of the first.
    pub(super) fn status(&self) -> HandlerStatus {
        let all: Vec<_> = self.handlers.iter().map(Handler::status).collect();
        let running = all
            .iter()
            .find(|status| matches!(status, HandlerStatus::Running { .. }));
        let starting = || {
            all.iter()
                .find(|status| **status == HandlerStatus::Starting)
        };
        let status = running.or_else(starting).or(all.first()).cloned();
        status.unwrap_or_else(|| HandlerStatus::Stopped("there is no instance".to_owned()))
    }

    pub(super) fn restarts(&self) -> u64 {
        self.handlers.iter().map(Handler::restarts).sum()
    }

    /// The next one that runs. While none does and one starts, waits for it, at most as long as a start may take.
    pub(super) async fn next_running(&self, turn: &Turn) -> Result<Target, HandlerStatus> {
        let found = async {
            loop {
                if let Some(target) = self.running_from(turn) {
                    return Some(target);
                }
                let starting = self
                    .handlers
                    .iter()
                    .filter(|handler| handler.status() == HandlerStatus::Starting);
                let left_start: Vec<_> = starting
                    .map(|handler| Box::pin(handler.left_start()))
                    .collect();
                if left_start.is_empty() {
                    return None;
                }
                let (result, ..) = select_all(left_start).await;
                result.ok()?;
            }
        };
        let found = tokio::time::timeout(self.start_timeout, found)
            .await
            .ok()
            .flatten();
        found.ok_or_else(|| self.status())
    }

    /// Waits until none starts any more, at most as long as a start may take.
    pub(super) async fn settled(&self) -> HandlerStatus {
        join_all(self.handlers.iter().map(Handler::settled)).await;
        self.status()
    }

    /// Kills the process that took too long, if it still runs, and starts a new one.
    pub(super) fn restart(&self, target: Target) {
        if let Ok(handler) = self.get(target.instance) {
            handler.restart(target.pid);
        }
    }

    /// Returns when all processes are gone for good.
    pub(super) async fn stop(&self) {
        join_all(self.handlers.iter().map(Handler::stop)).await;
    }

    /// The first that runs, beginning with the one whose turn it is.
    fn running_from(&self, turn: &Turn) -> Option<Target> {
        let mut next = turn.0.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered = || self.handlers.iter().enumerate();
        let round = numbered().skip(*next).chain(numbered().take(*next));
        let target = round
            .into_iter()
            .find_map(|(instance, handler)| match handler.status() {
                HandlerStatus::Running { pid, port } => Some(Target {
                    instance,
                    pid,
                    port,
                }),
                _ => None,
            })?;
        *next = (target.instance + 1) % self.handlers.len();
        Some(target)
    }
}
