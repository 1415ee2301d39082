//! `keyrelay runs resubmit`

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use jiff::Timestamp;
use keyrelay_host::history::History;
use keyrelay_host::pending::{Pending, Postponed};
use keyrelay_host::record::{Cause, Run};
use keyrelay_host::run_id::RunId;
use reqwest::{StatusCode, Url};
use serde_json::json;

use super::failed;
use super::place::StoreOption;
use super::show;
use super::watch::Watch;
use crate::out;

/// Have the event of a run handled again
///
/// The event is put into the store, and keyrelay-host handles it when its reconcile timer runs next: within 5 minutes, if
/// its schedule is the default. What is decided depends on how things are then: a version that is no longer the
/// newest does not replace a newer one.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Resubmit {
    /// The run's id, as `keyrelay runs` lists it
    id: RunId,
    #[command(flatten)]
    store: StoreOption,
    /// Ask this Functions host (`https://keyrelay.azurewebsites.net`) to run the reconcile timer now
    #[arg(long, value_name = "URL", requires = "key", value_parser = parse_functions_host)]
    functions_host: Option<Url>,
    /// The master key of the Functions host
    #[arg(long, env = "FUNCTIONS_MASTER_KEY", hide_env_values = true)]
    key: Option<MasterKey>,
    /// Wait until the event has been handled, and show the new run. Ends with 1 if that failed
    #[arg(long)]
    wait: bool,
    /// With `--wait`: print the record of the new run, as JSON
    #[arg(long, requires = "wait")]
    json: bool,
}

/// A key that does not print itself.
#[derive(Clone)]
struct MasterKey(String);

const EXAMPLES: &str = "\
Examples:
  keyrelay runs resubmit 20261123T054539123Z-1f3a9c2d
      within 5 minutes
  keyrelay runs resubmit 20261123T054539123Z-1f3a9c2d --wait
      and see what came of it
  export FUNCTIONS_MASTER_KEY=$(az functionapp keys list -g shop -n keyrelay --query masterKey -o tsv)
  keyrelay runs resubmit 20261123T054539123Z-1f3a9c2d --functions-host https://keyrelay.azurewebsites.net --wait
      now";

/// How long the new run is waited for: two rounds of the timer.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long the Functions host may take to answer. An app that has scaled to nothing starts first.
const START: Duration = Duration::from_secs(60);

impl Resubmit {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let id = self.id;
        let store = self.store.open()?;
        let history = History::new(store.clone());
        let run = history
            .read(&id)
            .await
            .map_err(|error| failed("resubmit the run from", &store, error))?;
        let Some(postponed) = Postponed::resubmission(&run, Timestamp::now()) else {
            bail!(
                "run {id} has no event that could be handled again: what came in its place was none"
            );
        };
        // Before the event is there to be handled, so that the new run cannot be missed.
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
            "the event of run {id} waits in the store {store}: it is handled when the reconcile timer runs next, every 5 minutes by default"
        ));
        if let (Some(functions_host), Some(key)) = (&self.functions_host, &self.key) {
            let asked = run_timer(functions_host, key).await;
            asked.with_context(|| {
                format!("cannot run the timer now, so the event waits: {functions_host}")
            })?;
            out::note(&format!(
                "the Functions host runs the timer now: {functions_host}"
            ));
        }
        let Some(watch) = watch else { return Ok(()) };
        let Ok(new) = tokio::time::timeout(PATIENCE, new_run(watch, &id)).await else {
            bail!(
                "no new run after {} minutes: see that the function app runs and that its mode is not `off`; \
                 `keyrelay runs --cause resubmit` shows the run when it is there",
                PATIENCE.as_secs() / 60
            );
        };
        show::print(&new, self.json)?;
        ensure!(
            !new.verdict().is_error(),
            "the event was handled again, and run {} is {}",
            new.id,
            new.verdict()
        );
        Ok(())
    }
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

/// Has the Functions host run the timer: `POST /admin/functions/<name>` with the master key, answered with 202.
async fn run_timer(functions_host: &Url, key: &MasterKey) -> anyhow::Result<()> {
    // The key is for this host and for nobody it may point to.
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
        other => bail!("it answered {other}"),
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
    // Without the last slash the last segment would be replaced instead of continued.
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
