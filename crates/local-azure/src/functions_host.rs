//! A stand-in for the Azure Functions host, for apps with a custom handler.
//!
//! It reads the app's folder as it is, starts the real executable with the environment that the real host gives it,
//! sends the bytes that the real host sends, and treats every answer, crash and silence as the real host does.
//! Sources: Azure/azure-functions-host, and the Event Grid extension in Azure/azure-sdk-for-net.

mod envelope;
mod files;
mod handler;
mod http_function;
mod instances;
mod invocation;
mod listener;
mod log;
mod options;
mod schedule;
mod timer;

pub use files::FilesError;
pub use handler::{HandlerKill, HandlerStatus};
pub use invocation::{Failure, Invocation};
pub use log::{HostLog, LogLevel, LogLine, LogSource};
pub use options::FunctionsHostOptions;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;
use tokio_util::task::AbortOnDropHandle;
use url::Url;
use uuid::Uuid;

use crate::journal::Journal;
use files::{App, Function, Trigger};
use handler::{Launch, Supervision, Supervisor};
use instances::{Instances, Turn};
use timer::Timer;

/// Invocations that are kept in memory.
const KEPT_INVOCATIONS: usize = 10_000;

/// Redirects that .NET's client follows.
const MAX_REDIRECTS: usize = 50;

/// Why the host did not start.
#[derive(Debug, thiserror::Error)]
pub enum FunctionsHostError {
    /// The app's files are not as they should be.
    #[error("the function app cannot be loaded")]
    Files(#[from] FilesError),
    /// The executable cannot be started.
    #[error("cannot start the handler `{}`", executable.display())]
    Handler {
        /// The executable that `host.json` names.
        executable: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The port is taken.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The client that calls the handler cannot be made.
    #[error("cannot make the HTTP client that calls the handler")]
    Client(#[source] reqwest::Error),
}

/// There is no function of this name, or its trigger is of another kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no function `{0}` with such a trigger")]
pub struct NoSuchFunction(pub String);

/// There are not so many instances; they are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no instance {0}")]
pub struct NoSuchInstance(pub usize);

/// A running Functions host. The handlers of all instances are killed when this is dropped.
#[derive(Debug)]
pub struct FunctionsHost {
    host: Arc<Host>,
    address: SocketAddr,
    _supervisors: Vec<Supervisor>,
    _timers: Vec<AbortOnDropHandle<()>>,
    _listener: DropGuard,
}

/// What the listener, the timers and the owner share.
#[derive(Debug)]
struct Host {
    functions: BTreeMap<String, Function>,
    timers: BTreeMap<String, Timer>,
    route_prefix: String,
    instances: Instances,
    /// Whose turn it is to take an event or a request. A timer has a round of its own.
    turn: Turn,
    client: reqwest::Client,
    function_timeout: Duration,
    double_encoded: bool,
    log: HostLog,
    invocations: Journal<Invocation>,
    event_grid_key: String,
    master_key: String,
}

impl FunctionsHost {
    /// Reads the app's files, starts the handlers and listens. Does not wait until a handler is ready.
    pub async fn start(options: FunctionsHostOptions) -> Result<Self, FunctionsHostError> {
        let app = App::read(&options.app_root, &options.environment)?;
        let client = client()?;
        let executable = app.executable.clone();
        let supervision = Supervision {
            launch: Launch {
                executable: app.executable,
                arguments: app.arguments,
                app_root: app.root,
                working_directory: app.working_directory,
                environment: options.environment,
            },
            start_timeout: options.start_timeout,
            max_crashes: options.max_crashes,
            crash_interval: options.crash_interval,
        };
        // Before the handler: if the port is taken, nothing has been started.
        let listen = |source| FunctionsHostError::Listen {
            port: options.port,
            source,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
            .await
            .map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (instances, supervisors) =
            Instances::start(options.instances, &supervision, &client, &options.log)
                .map_err(|source| FunctionsHostError::Handler { executable, source })?;
        let host = Arc::new(Host {
            timers: timer::of_functions(&app.functions),
            functions: app.functions,
            route_prefix: app.route_prefix,
            instances,
            turn: Turn::default(),
            client,
            function_timeout: options.function_timeout,
            double_encoded: options.double_encoded,
            log: options.log,
            invocations: Journal::new(KEPT_INVOCATIONS),
            event_grid_key: random_hex(),
            master_key: random_hex(),
        });
        Ok(Self {
            address,
            _supervisors: supervisors,
            _timers: timer::run_all(&host),
            _listener: listener::serve(listener, Arc::clone(&host)),
            host,
        })
    }

    /// The base of the host's own URLs: `http://127.0.0.1:<port>/`.
    pub fn url(&self) -> Url {
        loopback(self.address.port())
    }

    /// Where Event Grid delivers the events for a function, with the key that it needs.
    pub fn event_grid_endpoint(&self, function: &str) -> Url {
        let mut url = self.url();
        url.set_path("/runtime/webhooks/eventgrid");
        url.query_pairs_mut()
            .append_pair("functionName", function)
            .append_pair("code", &self.host.event_grid_key);
        url
    }

    /// The key for everything: `x-functions-key` of `/admin`, and `code` of the webhook.
    pub fn master_key(&self) -> &str {
        &self.host.master_key
    }

    /// What the handler is doing: on the first instance where it runs, else on the first where it starts, else on the
    /// first.
    pub fn status(&self) -> HandlerStatus {
        self.host.instances.status()
    }

    /// What the handler of one instance is doing.
    pub fn status_of(&self, instance: usize) -> Result<HandlerStatus, NoSuchInstance> {
        Ok(self.host.instances.get(instance)?.status())
    }

    /// Waits until no handler is [`HandlerStatus::Starting`], at most for the time that a start may take.
    pub async fn wait_while_starting(&self) -> HandlerStatus {
        self.host.instances.settled().await
    }

    /// How often handlers were started again, on all instances together.
    pub fn restarts(&self) -> u64 {
        self.host.instances.restarts()
    }

    /// The base of the handler's own URLs while it runs, to send it what no host would. With several instances it is
    /// that of the first where it runs.
    pub fn handler_url(&self) -> Option<Url> {
        url_of(&self.status())
    }

    /// The same for one instance. None also if there is no such instance.
    pub fn handler_url_of(&self, instance: usize) -> Option<Url> {
        url_of(&self.status_of(instance).ok()?)
    }

    /// Kills the handler of the first instance with SIGKILL, which counts as a crash.
    pub fn kill_handler(&self) {
        // There always is a first one.
        let _ = self.kill_handler_of(0);
    }

    /// Kills the handler of one instance with SIGKILL, which counts as a crash. Does not wait until it is gone: see
    /// [`handler_kill`](Self::handler_kill).
    pub fn kill_handler_of(&self, instance: usize) -> Result<(), NoSuchInstance> {
        self.host.instances.get(instance)?.crash();
        Ok(())
    }

    /// What kills the handler of one instance at a moment that comes later.
    pub fn handler_kill(&self, instance: usize) -> Result<HandlerKill, NoSuchInstance> {
        Ok(HandlerKill(self.host.instances.get(instance)?.clone()))
    }

    /// Stops all handlers with SIGKILL, without letting them finish anything, and waits until they are gone.
    pub async fn stop(&self) {
        self.host.instances.stop().await;
    }

    /// The names of the app's functions.
    pub fn functions(&self) -> Vec<String> {
        self.host.functions.keys().cloned().collect()
    }

    /// Runs an event function with one event, or with an array of events if its cardinality is `many`.
    pub async fn invoke(
        &self,
        function: &str,
        value: &Value,
    ) -> Result<Invocation, NoSuchFunction> {
        let function = self.host.event_function(function)?;
        Ok(self.host.run_with_events(function, value).await)
    }

    /// Runs a timer function now, after the run that may be under way.
    pub async fn run_timer(&self, function: &str) -> Result<Invocation, NoSuchFunction> {
        let no_such = || NoSuchFunction(function.to_owned());
        let timer = self.host.timers.get(function).ok_or_else(no_such)?;
        Ok(self.host.run_timer(timer).await)
    }

    /// The invocations that have ended, oldest first: the last 10,000.
    pub fn invocations(&self) -> Vec<Invocation> {
        self.host.invocations.snapshot()
    }

    /// The log that the options named.
    pub fn log(&self) -> &HostLog {
        &self.host.log
    }
}

impl Host {
    fn event_function(&self, name: &str) -> Result<&Function, NoSuchFunction> {
        let function = self.functions.get(name);
        function
            .filter(|function| matches!(function.trigger, Trigger::Event | Trigger::Events))
            .ok_or_else(|| NoSuchFunction(name.to_owned()))
    }

    async fn run_with_events(&self, function: &Function, value: &Value) -> Invocation {
        let body = match (&function.trigger, value) {
            (Trigger::Events, Value::Array(_)) | (Trigger::Event, Value::Object(_)) => {
                Ok(envelope::of_events(function, value, self.double_encoded))
            }
            (Trigger::Events, _) => Err(Failure::Unbound("an array of events")),
            _ => Err(Failure::Unbound("an event")),
        };
        self.run(function, &self.turn, body).await
    }
}

/// The client that calls the handler: on loopback, so never through a proxy.
fn client() -> Result<reqwest::Client, FunctionsHostError> {
    // No time limit here: the time of the function is the limit, and it is kept where the handler can be killed.
    let redirects = reqwest::redirect::Policy::limited(MAX_REDIRECTS);
    reqwest::Client::builder()
        .no_proxy()
        .redirect(redirects)
        .build()
        .map_err(FunctionsHostError::Client)
}

fn url_of(status: &HandlerStatus) -> Option<Url> {
    match status {
        HandlerStatus::Running { port, .. } => Some(loopback(*port)),
        _ => None,
    }
}

fn loopback(port: u16) -> Url {
    let mut url = Url::parse("http://127.0.0.1/").expect("a constant URL is valid");
    url.set_port(Some(port))
        .expect("a URL with a host can have a port");
    url
}

/// 64 hexadecimal digits: as long as the real host's keys and the ids of instances, and nobody guesses them.
fn random_hex() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}
