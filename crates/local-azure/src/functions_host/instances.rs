//! The instances of the app, each with its own handler, and the round-robin choice between them.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::{join_all, select_all};

use super::error::NoSuchInstance;
use super::handler::{Handler, HandlerStatus, Supervision, Supervisor};
use super::log::HostLog;
use super::random_hex::random_hex;

/// All instances, counted from 0. There is at least one.
#[derive(Debug)]
pub(super) struct Instances {
    handlers: Vec<Handler>,
    start_timeout: Duration,
}

/// A running handler, chosen for an invocation.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunningHandler {
    pub(super) instance: usize,
    pub(super) pid: u32,
    pub(super) port: u16,
}

/// The next instance of a round over all instances.
#[derive(Debug, Default)]
pub(super) struct RoundRobin(Mutex<usize>);

impl Instances {
    /// Starts one process per instance. Fails if the executable cannot be started.
    pub(super) fn start(
        count: usize,
        supervision: &Supervision,
        client: &reqwest::Client,
        log: &HostLog,
    ) -> io::Result<(Self, Vec<Supervisor>)> {
        let start = |instance| {
            let mut supervision = supervision.clone();
            // The last value wins over a setting of the same name.
            supervision
                .launch
                .environment
                .push(("WEBSITE_INSTANCE_ID".to_owned(), random_hex()));
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

    /// The status of the first running instance, else of the first starting one, else of the first.
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

    /// Chooses the next running handler. If none is running, waits for a starting one, up to the
    /// start timeout.
    pub(super) async fn next_running(
        &self,
        round: &RoundRobin,
    ) -> Result<RunningHandler, HandlerStatus> {
        let found = async {
            loop {
                if let Some(handler) = self.running_from(round) {
                    return Some(handler);
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

    /// Waits until no handler is starting, up to the start timeout.
    pub(super) async fn wait_while_starting(&self) -> HandlerStatus {
        join_all(self.handlers.iter().map(Handler::wait_while_starting)).await;
        self.status()
    }

    /// Kills the process of a timed-out invocation, if it is still running, and starts a new one.
    pub(super) fn restart(&self, target: RunningHandler) {
        if let Ok(handler) = self.get(target.instance) {
            handler.restart(target.pid);
        }
    }

    /// Stops all processes and waits until they have ended.
    pub(super) async fn stop(&self) {
        join_all(self.handlers.iter().map(Handler::stop)).await;
    }

    /// The first running handler, beginning at the next instance of the round.
    fn running_from(&self, round: &RoundRobin) -> Option<RunningHandler> {
        let mut next = round.0.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered = || self.handlers.iter().enumerate();
        let order = numbered().skip(*next).chain(numbered().take(*next));
        let target = order
            .into_iter()
            .find_map(|(instance, handler)| match handler.status() {
                HandlerStatus::Running { pid, port } => Some(RunningHandler {
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
