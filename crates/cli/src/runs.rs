//! `keyrelay runs`: what keyrelay did, read from its store, and doing it again.

mod filter;
mod follow;
mod lines;
mod list;
mod place;
mod resubmit;
mod show;
mod watch;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use keyrelay_host::history::{History, HistoryError};
use keyrelay_host::record::{Cause, Run};
use keyrelay_host::run_id::RunId;
use keyrelay_store::{Store, StoreError};

use crate::out;

/// See what keyrelay did, and have it done again
///
/// A run is one event with all that came of it: a rotation for each app that uses the secret. Runs are kept in
/// keyrelay's store: a blob container in Azure, a folder on the laptop. Times are in UTC.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_long_help = EXAMPLES)]
pub(crate) struct Runs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: list::List,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
    Follow(follow::Follow),
    Resubmit(resubmit::Resubmit),
}

const EXAMPLES: &str = "\
Examples:
  keyrelay runs
      the latest 20 runs in .keyrelay/store below the current folder
  keyrelay runs --store https://contoso.blob.core.windows.net/keyrelay --since 3d --verdict failed,refused
      what went wrong in the last three days, in Azure; `az login` first
  keyrelay runs --app orders/staging --secret 'sql-*' --limit 100
      what happened to the slot `staging` of the site `orders` because of certain secrets
  keyrelay runs show 20261123T054539123Z-1f3a9c2d
      one run: event, policy, decision, plan, requests with their ids, verdict
  keyrelay runs follow --json | jq -r .id
      the ids of new runs, as they appear
  keyrelay runs resubmit 20261123T054539123Z-1f3a9c2d --wait
      handle its event again, and show the new run";

const HINT: &str = "\
hint: is this the URL of keyrelay's container? Outside of Azure, `az login` as somebody with the role
      `Storage Blob Data Reader` on it, or `Storage Blob Data Contributor` to resubmit";

/// How many runs are read at once.
const AT_ONCE: usize = 16;

impl Runs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            None => self.list.run().await,
            Some(Command::List(list)) => list.run().await,
            Some(Command::Show(show)) => show.run().await,
            Some(Command::Follow(follow)) => follow.run().await,
            Some(Command::Resubmit(resubmit)) => resubmit.run().await,
        }
    }
}

/// Reads one of many runs. One that has been removed meanwhile is none, and so is one that cannot be understood, which
/// is said.
async fn read(history: &History, id: &RunId) -> Result<Option<Run>, HistoryError> {
    match history.read(id).await {
        Err(HistoryError::Missing(_)) => Ok(None),
        Err(
            error @ (HistoryError::Newer { .. }
            | HistoryError::Store(StoreError::Unreadable { .. })),
        ) => {
            out::warning(&error.to_string());
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// The error that ends a command: what it could not do with which store, and what to look at.
fn failed(what: &str, store: &Store, error: impl Into<HistoryError>) -> anyhow::Error {
    let error = error.into();
    let out_of_reach = matches!(error, HistoryError::Store(StoreError::OutOfReach { .. }));
    let error = anyhow::Error::new(error).context(format!("cannot {what} the store {store}"));
    if out_of_reach && store.to_string().contains("://") {
        return anyhow!("{}\n{HINT}", out::chain(error.as_ref()));
    }
    error
}

/// The word for a cause, as in records.
fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Event => "event",
        Cause::Pending => "pending",
        Cause::Drift => "drift",
        Cause::Reminder => "reminder",
        Cause::Resubmit => "resubmit",
    }
}
