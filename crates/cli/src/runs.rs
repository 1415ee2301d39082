//! `keyrelay runs`: the run history in keyrelay's store.

mod filter;
mod follow;
mod lines;
mod list;
mod read;
mod resubmit;
mod run_argument;
mod show;
mod watch;

use clap::{Args, Subcommand};

/// Show the run history, and resubmit events
///
/// A run is the handling of one event: a rotation for each app that uses the secret. Runs are
/// recorded in keyrelay's store: a blob container in Azure, or a folder on a development machine.
/// Times are in UTC.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_long_help = EXAMPLES)]
pub(crate) struct Runs {
    #[command(subcommand)]
    command: Option<RunsCommand>,
    #[command(flatten)]
    list: list::List,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
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
      failures of the last three days, in Azure; `az login` first
  keyrelay runs --app orders/staging --secret 'sql-*' --limit 100
      rotations of the slot `staging` of the site `orders` for certain secrets
  keyrelay runs show latest
      one run: event, policy, decision, plan, requests with their ids, verdict
  keyrelay runs follow --json | jq -r .id
      the ids of new runs, as they appear
  keyrelay runs resubmit 20261123T054539123Z-1f3a9c2d --wait
      handle its event again, and show the new run
  keyrelay runs resubmit --verdict failed --since 1d
      handle the events again that failed since yesterday";

impl Runs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            None => self.list.run().await,
            Some(RunsCommand::List(list)) => list.run().await,
            Some(RunsCommand::Show(show)) => show.run().await,
            Some(RunsCommand::Follow(follow)) => follow.run().await,
            Some(RunsCommand::Resubmit(resubmit)) => resubmit.run().await,
        }
    }
}
