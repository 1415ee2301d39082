//! A stand-in for the Azure Functions host, for apps with a custom handler.
//!
//! It reads the app's folder, starts the executable with the environment of the real host, sends
//! the same bytes as the real host, and handles responses, crashes and timeouts in the same way.
//! Sources: Azure/azure-functions-host, and the Event Grid extension in Azure/azure-sdk-for-net.

mod envelope;
mod error;
mod files;
mod handler;
mod handler_response;
mod host;
mod http_function;
mod instances;
mod invocation;
mod invoker;
mod listener;
mod log;
mod options;
mod random_hex;
mod schedule;
mod timer;
mod timer_clock;

pub use error::{FunctionsHostError, NoSuchFunction, NoSuchInstance};
pub use files::error::FilesError;
pub use handler::{HandlerKill, HandlerStatus};
pub use invocation::{Invocation, InvocationFailure};
pub use log::{HostLog, LogLevel, LogLine, LogSource};
pub use options::FunctionsHostOptions;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use files::AppFiles;
use handler::{Launch, Supervision, Supervisor};
use host::Host;
use instances::Instances;
use invoker::Invoker;

/// The redirect limit of .NET's HTTP client.
const MAX_REDIRECTS: usize = 50;

/// A running Functions host. Dropping it kills the handlers of all instances.
#[derive(Debug)]
pub struct FunctionsHost {
    host: Arc<Host>,
    address: SocketAddr,
    _supervisors: Vec<Supervisor>,
    _timers: Vec<AbortOnDropHandle<()>>,
    _listener: DropGuard,
}

impl FunctionsHost {
    /// Reads the app's files, starts the handlers and the listener. Does not wait until a handler
    /// is ready.
    pub async fn start(options: FunctionsHostOptions) -> Result<Self, FunctionsHostError> {
        let app = AppFiles::read(&options.app_root, &options.environment)?;
        let client = client()?;
        // The port is bound before the handlers start, so a port in use leaves nothing to clean up.
        let listen = |source| FunctionsHostError::Listen {
            port: options.port,
            source,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
            .await
            .map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
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
        let (instances, supervisors) =
            Instances::start(options.instances, &supervision, &client, &options.log)
                .map_err(|source| FunctionsHostError::Handler { executable, source })?;
        let invoker = Invoker::new(instances, client, options.function_timeout, options.log);
        let host = Arc::new(Host::new(
            app.functions,
            app.route_prefix,
            invoker,
            options.double_encoded,
        ));
        Ok(Self {
            address,
            _supervisors: supervisors,
            _timers: timer::spawn_all(&host.timers, &host.invoker, options.clock),
            _listener: listener::serve(listener, Arc::clone(&host)),
            host,
        })
    }

    /// The host's base URL: `http://127.0.0.1:<port>/`.
    pub fn url(&self) -> Url {
        loopback(self.address.port())
    }

    /// The URL to which Event Grid delivers the events of a function, with its key.
    pub fn event_grid_endpoint(&self, function: &str) -> Url {
        let mut url = self.url();
        url.set_path("/runtime/webhooks/eventgrid");
        url.query_pairs_mut()
            .append_pair("functionName", function)
            .append_pair("code", &self.host.event_grid_key);
        url
    }

    /// The master key: `x-functions-key` of `/admin`, and `code` of the webhook.
    pub fn master_key(&self) -> &str {
        &self.host.master_key
    }

    /// The status of the first running instance, else of the first starting one, else of the first.
    pub fn status(&self) -> HandlerStatus {
        self.host.invoker.instances.status()
    }

    /// The status of the handler of one instance.
    pub fn status_of(&self, instance: usize) -> Result<HandlerStatus, NoSuchInstance> {
        Ok(self.host.invoker.instances.get(instance)?.status())
    }

    /// Waits until no handler is [`HandlerStatus::Starting`], up to the start timeout.
    pub async fn wait_while_starting(&self) -> HandlerStatus {
        self.host.invoker.instances.wait_while_starting().await
    }

    /// The number of restarts of handlers, on all instances together.
    pub fn restarts(&self) -> u64 {
        self.host.invoker.instances.restarts()
    }

    /// The base URL of the running handler, for requests that no host sends. With several instances
    /// it is that of the first running one.
    pub fn handler_url(&self) -> Option<Url> {
        url_of(&self.status())
    }

    /// The base URL of the running handler of one instance. `None` also without such an instance.
    pub fn handler_url_of(&self, instance: usize) -> Option<Url> {
        url_of(&self.status_of(instance).ok()?)
    }

    /// Kills the handler of the first instance with SIGKILL, which counts as a crash.
    pub fn kill_handler(&self) {
        // There is always a first instance.
        let _ = self.kill_handler_of(0);
    }

    /// Kills the handler of one instance with SIGKILL, which counts as a crash. Does not wait for
    /// the end, unlike [`handler_kill`](Self::handler_kill).
    pub fn kill_handler_of(&self, instance: usize) -> Result<(), NoSuchInstance> {
        self.host.invoker.instances.get(instance)?.crash();
        Ok(())
    }

    /// A handle that kills the handler of one instance later.
    pub fn handler_kill(&self, instance: usize) -> Result<HandlerKill, NoSuchInstance> {
        Ok(HandlerKill(
            self.host.invoker.instances.get(instance)?.clone(),
        ))
    }

    /// Stops all handlers with SIGKILL, without a graceful shutdown, and waits until they have
    /// ended.
    pub async fn stop(&self) {
        self.host.invoker.instances.stop().await;
    }

    /// The names of the app's functions.
    pub fn functions(&self) -> Vec<String> {
        self.host.functions.keys().cloned().collect()
    }

    /// Runs an event function with one event, or with an array of events if its cardinality is
    /// `many`.
    pub async fn invoke(
        &self,
        function: &str,
        value: &Value,
    ) -> Result<Invocation, NoSuchFunction> {
        let function = self.host.event_function(function)?;
        Ok(self.host.run_with_events(function, value).await)
    }

    /// Runs a timer function now, after the current run if there is one.
    pub async fn run_timer(&self, function: &str) -> Result<Invocation, NoSuchFunction> {
        let no_such = || NoSuchFunction(function.to_owned());
        let timer = self.host.timers.get(function).ok_or_else(no_such)?;
        Ok(timer.run(&self.host.invoker).await)
    }

    /// The last 10,000 completed invocations, oldest first.
    pub fn invocations(&self) -> Vec<Invocation> {
        self.host.invoker.invocations()
    }

    /// The log of the options.
    pub fn log(&self) -> &HostLog {
        &self.host.invoker.log
    }
}

/// The client that calls the handler. Calls on loopback use no proxy.
fn client() -> Result<reqwest::Client, FunctionsHostError> {
    // The invoker enforces the function timeout, because it can kill the handler.
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
