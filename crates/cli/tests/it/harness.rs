//! A store full of runs, and the program that reads it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use keyrelay_model::{Event, ObjectKind, Occurrence, Verdict};
use keyrelay_records::history::History;
use keyrelay_records::outcome::Outcome;
use keyrelay_records::record::{Cause, EventRecord, RotationRecord, Run};
use keyrelay_records::run_id::RunId;
use keyrelay_store::Store;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// The time limit of each wait.
const PATIENCE: Duration = Duration::from_secs(180);

/// The environment variables that the program reads.
const VARIABLES: [&str; 8] = [
    "KEYRELAY_STORE",
    "KEYRELAY_CLOUD",
    "KEYRELAY_CLIENT_ID",
    "KEYRELAY_CLIENT_IDS",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__accountName",
    "IDENTITY_ENDPOINT",
    "FUNCTIONS_MASTER_KEY",
];

/// A working folder, with a store in the default location.
pub(crate) struct WorkingFolder {
    folder: tempfile::TempDir,
    pub(crate) history: History,
}

/// The result of the program.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// The program while it runs. It is killed at the end of the test.
pub(crate) struct Running {
    child: Child,
    pub(crate) output: Lines<BufReader<ChildStdout>>,
    pub(crate) errors: Lines<BufReader<ChildStderr>>,
}

impl WorkingFolder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let history = history(&folder.path().join(".keyrelay/store"));
        Self { folder, history }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The files below a folder of the store.
    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path().join(".keyrelay/store").join(folder)) else {
            return Vec::new();
        };
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    pub(crate) async fn keep(&self, runs: impl IntoIterator<Item = &Run>) {
        for run in runs {
            self.history.keep(run).await.unwrap();
        }
    }

    /// `keyrelay runs` in this folder, without environment variables that configure the store.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let runs = ["runs"].iter().chain(arguments).copied();
        self.program(&runs.collect::<Vec<_>>())
    }

    /// `keyrelay` in this folder, without environment variables that configure the store.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
        command
            .args(arguments)
            .current_dir(self.path())
            .kill_on_drop(true)
            .stdin(Stdio::null());
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Done {
        done(self.command(arguments)).await
    }

    /// The ids in the program's list, in its order.
    pub(crate) async fn list(&self, arguments: &[&str]) -> Vec<RunId> {
        let done = self.run(arguments).await;
        assert_eq!(done.code, Some(0), "{}", done.errors);
        let lines = done.output.lines().filter(|line| !line.starts_with(' '));
        lines
            .map(|line| line.split(' ').next().unwrap().parse().unwrap())
            .collect()
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let runs = ["runs"].iter().chain(arguments).copied();
        self.start_program(&runs.collect::<Vec<_>>())
    }

    /// Starts `keyrelay` in this folder.
    pub(crate) fn start_program(&self, arguments: &[&str]) -> Running {
        let mut child = self
            .program(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let errors = BufReader::new(child.stderr.take().unwrap()).lines();
        Running {
            child,
            output,
            errors,
        }
    }
}

impl Running {
    pub(crate) async fn line(&mut self) -> String {
        in_time(self.output.next_line())
            .await
            .unwrap()
            .expect("the program has ended")
    }

    pub(crate) async fn note(&mut self) -> String {
        in_time(self.errors.next_line())
            .await
            .unwrap()
            .expect("the program has ended")
    }

    /// Closes the pipe, as `head -1` does.
    pub(crate) async fn stop_reading(self) -> Option<i32> {
        let Self {
            mut child, output, ..
        } = self;
        drop(output);
        in_time(child.wait()).await.unwrap().code()
    }
}

pub(crate) fn history(folder: &Path) -> History {
    History::new(Store::folder(folder).unwrap())
}

pub(crate) async fn done(command: Command) -> Done {
    done_within(PATIENCE, command).await
}

pub(crate) async fn done_within(limit: Duration, mut command: Command) -> Done {
    let output = tokio::time::timeout(limit, command.output()).await;
    let Output {
        status,
        stdout,
        stderr,
    } = output.expect("not in time").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done {
        code: status.code(),
        output: text(stdout),
        errors: text(stderr),
    }
}

pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("not in time")
}

pub(crate) fn app(name: &str) -> String {
    let slot = name.split_once('/');
    let (site, slot) = slot.map_or((name, String::new()), |(site, slot)| {
        (site, format!("/slots/{slot}"))
    });
    format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/{site}{slot}")
}

/// A run about a new version of `vault/secret`, with a rotation for each app.
pub(crate) fn run(started: &str, object: &str, rotations: &[(&str, Verdict, &str)]) -> Run {
    let (vault, name) = object.split_once('/').unwrap();
    let event = Event {
        id: "event-1".to_owned(),
        vault_host: format!("{vault}.vault.azure.net").parse().unwrap(),
        kind: ObjectKind::Secret,
        name: name.parse().unwrap(),
        occurrence: Occurrence::NewVersionCreated,
        version: Some("0c7751761b5a4ca09f3deec5fba4af83".parse().unwrap()),
        time: 1_793_424_739,
        nanoseconds: 0,
        is_time_of_arrival: false,
        not_before: None,
        expires: Some(1_824_960_739),
    };
    let started = started.parse().unwrap();
    let rotation = |(name, verdict, message): &(&str, Verdict, &str)| {
        RotationRecord::ended(
            app(name).parse().unwrap(),
            Outcome::new(*verdict, *message),
            Duration::from_millis(800),
        )
    };
    Run {
        id: RunId::at(started),
        started,
        duration_ms: 1_234,
        event: Some(EventRecord::from(&event)),
        rotations: rotations.iter().map(rotation).collect(),
        ..Run::begin(Cause::Event, "invocation-1", None, jiff::Timestamp::now())
    }
}

/// Serves on a free port of this machine until the test ends, and returns the URL without a slash
/// at its end.
pub(crate) async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}
