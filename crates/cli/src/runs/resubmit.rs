//! `keyrelay runs resubmit`: handles the event of a run again.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use keyrelay_records::filters::RunFilter;
use keyrelay_records::history::History;
use keyrelay_records::pending::{Pending, PostponedEvent};
use keyrelay_records::record::{Cause, Run};
use keyrelay_records::resubmission::{failed_since, resubmit};
use keyrelay_records::run_id::RunId;
use keyrelay_store::Store;
use reqwest::{StatusCode, Url};
use serde_json::json;

use super::list::parse_since;
use super::read::failed;
use super::run_argument::RunArgument;
use super::show;
use super::watch::Watch;
use crate::out;
use crate::store_option::StoreOption;

/// Resubmit the event of a run, or of all runs that failed
///
/// The event is written to the store, and keyrelay-host handles it when its reconcile timer runs
/// next: within a minute with the default schedule. The decision depends on the state at that
/// time: a version that is no longer the newest does not replace a newer one.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Resubmit {
    /// The run's id, as `keyrelay runs` lists it, or the beginning of it from its day and `T`, or `latest`
    #[arg(value_name = "ID", required_unless_present = "verdict")]
    run: Option<RunArgument>,
    /// Instead of one run: those with this verdict that no later run has repaired, the newest for each secret
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(VERDICTS).map(|word| word.replace('-', " ")),
        requires = "since",
        conflicts_with_all = ["run", "wait"],
    )]
    verdict: Vec<String>,
    /// With `--verdict`: since when. An age (`90m`, `2h`, `3d`), a day, or a time in UTC
    #[arg(long, value_name = "TIME", value_parser = parse_since, requires = "verdict", conflicts_with = "run")]
    since: Option<Timestamp>,
    #[command(flatten)]
    store: StoreOption,
    /// Run the reconcile timer of this Functions host (`https://keyrelay.azurewebsites.net`) now
    #[arg(long, value_name = "URL", requires = "key", value_parser = parse_functions_host)]
    functions_host: Option<Url>,
    /// The master key of the Functions host
    #[arg(long, env = "FUNCTIONS_MASTER_KEY", hide_env_values = true)]
    key: Option<MasterKey>,
    /// Wait until the event has been handled, and show the new run. Exits with 1 if that failed
    #[arg(long)]
    wait: bool,
    /// With `--wait`: print the record of the new run, as JSON
    #[arg(long, requires = "wait")]
    json: bool,
}

/// A key that is hidden in debug output.
#[derive(Clone)]
struct MasterKey(String);

const EXAMPLES: &str = "\
Examples:
  keyrelay runs resubmit 20261123T054539123Z-1f3a9c2d
      within a minute
  keyrelay runs resubmit 20261123T054539123Z-1f3a9c2d --wait
      and show the new run
  export FUNCTIONS_MASTER_KEY=$(az functionapp keys list -g shop -n keyrelay --query masterKey -o tsv)
  keyrelay runs resubmit 20261123T054539123Z-1f3a9c2d --functions-host https://keyrelay.azurewebsites.net --wait
      now
  keyrelay runs resubmit --verdict failed,refused,rolled-back --since 1d
      all that failed since yesterday, once for each secret";

/// The verdicts of runs that are resubmitted together.
const VERDICTS: [&str; 3] = ["failed", "refused", "rolled-back"];

/// The time limit for the new run: several rounds of the timer.
const NEW_RUN_TIMEOUT: Duration = Duration::from_secs(600);

/// The time limit for the Functions host to respond. An app that is scaled to zero starts first.
const START: Duration = Duration::from_secs(60);

impl Resubmit {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let store = self.store.open()?;
        let Some(run) = self.run else {
            let since = self.since.unwrap_or_default();
            all_since(&store, self.verdict, since).await?;
            return match (&self.functions_host, &self.key) {
                (Some(functions_host), Some(key)) => run_timer_now(functions_host, key).await,
                _ => Ok(()),
            };
        };
        let id = run.find(&store).await?;
        let history = History::new(store.clone());
        let run = history
            .read(&id)
            .await
            .map_err(|error| failed("resubmit the run from", &store, error))?;
        let Some(postponed) = PostponedEvent::resubmission(&run, Timestamp::now()) else {
            bail!(
                "run {id} has no event that could be handled again: its input was not a valid event"
            );
        };
        // Starts before the event is written, so that the new run cannot be missed.
        let watch = if self.wait {
            Some(Watch::begin(history).await)
        } else {
            None
        };
        let watch = watch
            .transpose()
            .map_err(|error| failed("list the runs in", &store, error))?;
        let kept = Pending::new(store.clone()).postpone(&postponed).await;
        kept.map_err(|error| failed("resubmit the run to", &store, error))?;
        out::note(&format!(
            "the event of run {id} waits in the store {store}: it is handled when the reconcile timer runs next, once a minute by default"
        ));
        if let (Some(functions_host), Some(key)) = (&self.functions_host, &self.key) {
            run_timer_now(functions_host, key).await?;
        }
        let Some(watch) = watch else { return Ok(()) };
        let Ok(new) = tokio::time::timeout(NEW_RUN_TIMEOUT, new_run(watch, &id)).await else {
            bail!(
                "no new run after {} minutes: check that the function app runs and that its mode is not `off`; \
                 `keyrelay runs --cause resubmit` shows the run when it is there",
                NEW_RUN_TIMEOUT.as_secs() / 60
            );
        };
        show::print(&new, self.json, show::Details::default())?;
        ensure!(
            !new.verdict().is_error(),
            "the event was handled again, and run {} is {}",
            new.id,
            new.verdict()
        );
        Ok(())
    }
}

/// Resubmits the runs with these verdicts since a time that no later run has repaired.
async fn all_since(store: &Store, verdicts: Vec<String>, since: Timestamp) -> anyhow::Result<()> {
    let filter = RunFilter {
        verdicts,
        ..RunFilter::default()
    };
    let found = failed_since(store, since).await;
    let mut found = found.map_err(|error| failed("list the runs in", store, error))?;
    found.retain(|run| filter.matches(run));
    for run in &found {
        let id = &run.id;
        let secret = run.event.as_ref().map(|event| event.name.as_str());
        let waits = resubmit(store, id).await;
        let waits =
            waits.with_context(|| format!("cannot resubmit run {id} to the store {store}"))?;
        let state = if waits { "waits" } else { "waits already" };
        out::line(&format!("{id} {}: {state}", secret.unwrap_or("-")));
    }
    out::note(&format!(
        "{} events wait in the store {store}: they are handled when the reconcile timer runs next, once a minute by default",
        found.len()
    ));
    Ok(())
}

/// The run that repeats another one.
async fn new_run(mut watch: Watch, id: &RunId) -> Run {
    loop {
        let mut runs = watch.next().await.into_iter();
        if let Some(new) =
            runs.find(|run| run.cause == Cause::Resubmit && run.of.as_ref() == Some(id))
        {
            return new;
        }
    }
}

/// Runs the timer through the Functions host, and says so.
async fn run_timer_now(functions_host: &Url, key: &MasterKey) -> anyhow::Result<()> {
    let started = run_timer(functions_host, key).await;
    started.with_context(|| {
        format!("cannot run the timer now, so the event waits: {functions_host}")
    })?;
    out::note(&format!(
        "the Functions host runs the timer now: {functions_host}"
    ));
    Ok(())
}

/// Runs the timer through the Functions host: `POST /admin/functions/<name>` with the master key
/// returns 202.
async fn run_timer(functions_host: &Url, key: &MasterKey) -> anyhow::Result<()> {
    // The key must not follow a redirect to another host.
    let client = reqwest::Client::builder()
        .timeout(START)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let url = functions_host.join("admin/functions/Reconcile")?;
    let request = client
        .post(url)
        .header("x-functions-key", &key.0)
        .json(&json!({ "input": "" }));
    let status = request.send().await?.status();
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            bail!("it refuses the key: `az functionapp keys list` shows the master key")
        }
        StatusCode::NOT_FOUND => {
            bail!("it has no function `Reconcile`: is keyrelay deployed there?")
        }
        other => bail!("it responded with {other}"),
    }
}

fn parse_functions_host(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if !(url.scheme() == "https" || url.scheme() == "http" && local) {
        return Err(
            "it must be https: the master key is sent there (http on this machine only)".to_owned(),
        );
    }
    // Without a slash at the end, `join` would replace the last segment.
    let mut folder = url;
    folder.set_path(&format!("{}/", folder.path().trim_end_matches('/')));
    Ok(folder)
}

impl From<String> for MasterKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([hidden])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_goes_to_https_or_to_this_machine_only() {
        for (text, expected) in [
            (
                "https://keyrelay.azurewebsites.net",
                "https://keyrelay.azurewebsites.net/",
            ),
            ("http://127.0.0.1:7071/", "http://127.0.0.1:7071/"),
            (
                "https://gateway.example/keyrelay",
                "https://gateway.example/keyrelay/",
            ),
        ] {
            assert_eq!(
                parse_functions_host(text).map(String::from),
                Ok(expected.to_owned())
            );
        }
        for text in [
            "keyrelay",
            "http://keyrelay.azurewebsites.net",
            "http://127.0.0.1.example.org",
            "ftp://127.0.0.1",
        ] {
            assert!(parse_functions_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_does_not_print_itself() {
        assert_eq!(
            format!("{:?}", MasterKey::from("planted-value-key".to_owned())),
            "MasterKey([hidden])"
        );
    }
}
