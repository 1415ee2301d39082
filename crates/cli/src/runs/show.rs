//! `keyrelay runs show`: all details of a run.

use std::fmt::Display;

use clap::Args;
use jiff::Timestamp;
use keyrelay_records::filters::app_name;
use keyrelay_records::history::History;
use keyrelay_records::outcome::Outcome;
use keyrelay_records::record::{AzureRequest, EventRecord, RotationRecord, Run};

use super::lines::{counts, duration};
use super::read::failed;
use super::run_argument::RunArgument;
use crate::out;
use crate::store_option::StoreOption;

/// Show all details of a run
///
/// Rotations that failed come first. A run with more than three apps has a line for each of the first 15, so that it
/// fits on a screen: `--all` shows the details of all. The ids of requests are those that Azure support asks for: x-ms-request-id and
/// x-ms-correlation-request-id.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Show {
    /// The run's id, as `keyrelay runs` lists it, or the beginning of it from its day and `T`, or `latest`
    #[arg(value_name = "ID")]
    run: RunArgument,
    #[command(flatten)]
    store: StoreOption,
    /// Show each request to Azure, with its ids
    #[arg(long)]
    requests: bool,
    /// Show the details of all apps
    #[arg(long)]
    all: bool,
    /// Print the record, as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay runs show latest
  keyrelay runs show 20261123T0545
  keyrelay runs show 20261123T054539123Z-1f3a9c2d --requests
  keyrelay runs show 20261123T054539123Z-1f3a9c2d --json | jq '.rotations[].plan'";

impl Show {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let store = self.store.open()?;
        let id = self.run.find(&store).await?;
        let run = History::new(store.clone()).read(&id).await;
        let run = run.map_err(|error| failed("show the run from", &store, error))?;
        let details = Details {
            requests: self.requests,
            all: self.all || self.requests,
        };
        print(&run, self.json, details)
    }
}

/// The number of apps with all details, unless those of all are shown.
const DETAILED: usize = 3;

/// The number of apps with a line, unless the details of all are shown.
const LISTED: usize = 15;

/// The details of a run that are shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Details {
    /// Each request, with its ids.
    pub(super) requests: bool,
    /// The details of each app, however many there are.
    pub(super) all: bool,
}

/// Prints the details of a run.
pub(super) fn print(run: &Run, json: bool, details: Details) -> anyhow::Result<()> {
    let lines = match json {
        true => out::indented(&serde_json::to_value(run)?)
            .lines()
            .map(str::to_owned)
            .collect(),
        false => of_run(run, details),
    };
    for line in lines {
        if out::data(&line).is_err() {
            break;
        }
    }
    Ok(())
}

/// Lines of names and values in two columns.
struct Page(Vec<String>);

impl Page {
    fn field(&mut self, name: &str, value: impl Display) {
        self.0.push(format!("{name:<12} {value}"));
    }

    fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    /// Adds several values with one name, each on lines of its own.
    fn list(&mut self, name: &str, values: impl IntoIterator<Item = impl AsRef<str>>) {
        let mut name = name;
        for value in values {
            for line in value.as_ref().lines() {
                self.field(name, line);
                // The name is on the first line only.
                name = "";
            }
        }
    }
}

fn of_run(run: &Run, details: Details) -> Vec<String> {
    let Details { requests, all } = details;
    let mut page = Page(Vec::new());
    page.field("run", &run.id);
    page.field("verdict", run.headline());
    page.field(
        "began",
        format!("{:.3}, took {}", run.started, duration(run.duration_ms)),
    );
    let of = run
        .of
        .as_ref()
        .map(|of| format!(", of run {of}"))
        .unwrap_or_default();
    page.field("cause", format!("{}{of}", run.cause.as_str()));
    match &run.event {
        Some(event) => of_event(&mut page, event),
        None => page.field("event", "none"),
    }
    page.optional("policy", run.policy.as_ref().map(|policy| &policy.name));
    page.optional("  digest", run.policy.as_ref().map(|policy| &policy.digest));
    page.optional(
        "mode",
        run.mode.map(|mode| format!("{mode:?}").to_lowercase()),
    );
    page.field("invocation", &run.invocation);
    page.optional("instance", run.instance.as_ref());
    let verdicts = run.rotations.iter().map(|it| it.outcome.verdict.into());
    page.field("apps", counts(verdicts));
    list_requests(&mut page, "requests", &run.requests, requests);
    page.list("ended", run.ended.as_ref().map(in_words));
    page.list("notes", &run.notes);
    let mut rotations: Vec<&RotationRecord> = run.rotations.iter().collect();
    // Stable: those with the same verdict keep their order.
    rotations.sort_by_key(|it| std::cmp::Reverse(it.outcome.verdict.weight()));
    if rotations.len() > DETAILED && !all {
        page.0.push(String::new());
        page.0
            .extend(rotations.iter().take(LISTED).map(|it| in_a_line(it)));
        let more = match rotations.len().saturating_sub(LISTED) {
            0 => String::new(),
            more => format!("{more} more; "),
        };
        page.0
            .push(format!("{more}`--all` shows the details of all apps"));
        return page.0;
    }
    for rotation in rotations {
        page.0.push(String::new());
        page.0.push(app_name(&rotation.app));
        of_rotation(&mut page, rotation, requests);
    }
    page.0
}

/// A rotation in a line of 80 columns: verdict, app and message.
fn in_a_line(rotation: &RotationRecord) -> String {
    let outcome = &rotation.outcome;
    let message = outcome.message.lines().next().unwrap_or_default();
    let line = format!(
        "{:11} {} {message}",
        outcome.verdict.as_str(),
        out::cell(&app_name(&rotation.app), 24)
    );
    out::start(&line, 80)
}

/// Lists requests, or tells how many there were.
fn list_requests(page: &mut Page, name: &str, requests: &[AzureRequest], all: bool) {
    if all {
        page.list(name, requests.iter().map(request));
    } else if !requests.is_empty() {
        let is_failure =
            |it: &&AzureRequest| it.status.is_none_or(|status| !(200..300).contains(&status));
        let failed = requests.iter().filter(is_failure).count();
        let failed = match failed {
            0 => String::new(),
            failed => format!(", {failed} of them failed"),
        };
        page.field(
            name,
            format!("{}{failed} (`--requests` shows them)", requests.len()),
        );
    }
}

fn of_event(page: &mut Page, event: &EventRecord) {
    let time = |seconds: u64, nanoseconds: u32| {
        let time = i64::try_from(seconds)
            .ok()
            .zip(i32::try_from(nanoseconds).ok());
        let time =
            time.and_then(|(seconds, nanoseconds)| Timestamp::new(seconds, nanoseconds).ok());
        time.map_or_else(
            || format!("{seconds} s after 1970"),
            |time| time.to_string(),
        )
    };
    page.field("event", &event.event_type);
    page.field("  id", &event.id);
    page.field("  happened", time(event.time, event.nanoseconds));
    page.field("  vault", &event.vault_host);
    page.field(&format!("  {}", event.kind.to_lowercase()), &event.name);
    page.optional("  version", event.version.as_ref());
    page.optional(
        "  valid from",
        event.not_before.map(|seconds| time(seconds, 0)),
    );
    page.optional("  expires", event.expires.map(|seconds| time(seconds, 0)));
}

fn of_rotation(page: &mut Page, rotation: &RotationRecord, requests: bool) {
    page.field("  app", &rotation.app);
    page.list("  verdict", [in_words(&rotation.outcome)]);
    let before = rotation.before.as_ref();
    page.list(
        "  before",
        before.map(|it| {
            format!(
                "{}\nuntil run {} settled it",
                in_words(&it.outcome),
                it.settled_by
            )
        }),
    );
    page.field("  took", duration(rotation.duration_ms));
    page.list("  decision", rotation.decision.as_ref());
    page.list("  plan", rotation.plan.iter().map(ToString::to_string));
    page.list("  notes", &rotation.notes);
    page.list("  policy log", &rotation.policy_log);
    list_requests(page, "  requests", &rotation.requests, requests);
}

fn in_words(outcome: &Outcome) -> String {
    let again = if outcome.verdict.asks_for_redelivery() {
        "\nthe event was to be delivered again"
    } else {
        ""
    };
    format!("{}: {}{again}", outcome.headline(), outcome.message)
}

/// A request and its response, with the ids on lines below.
fn request(request: &AzureRequest) -> String {
    let status = request
        .status
        .map_or_else(|| "no response".to_owned(), |status| status.to_string());
    let attempts = match request.attempts {
        0 | 1 => String::new(),
        attempts => format!(", sent {attempts} times"),
    };
    let id = |name: &str, id: &Option<String>| {
        id.as_ref()
            .map(|id| format!("\n  {name} {id}"))
            .unwrap_or_default()
    };
    format!(
        "{:.3} {}, {}: {status} in {}{attempts}{}{}",
        request.at,
        request.operation,
        request.subject,
        duration(request.duration_ms),
        id("request", &request.request_id),
        id("correlation", &request.correlation_id),
    )
}
