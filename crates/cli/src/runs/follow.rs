//! `keyrelay runs follow`: new runs as they appear.

use anyhow::Context;
use clap::Args;
use keyrelay_records::filters::RunFilter;
use keyrelay_records::history::History;
use keyrelay_records::summary::Summary;

use super::filter::Filter;
use super::lines::Lines;
use super::read::failed;
use super::watch::Watch;
use crate::out;
use crate::store_option::StoreOption;

/// Print new runs until Ctrl-C
///
/// A run appears when it has ended. The format is that of `keyrelay runs list`, oldest first. The
/// store is polled once a second.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Follow {
    #[command(flatten)]
    store: StoreOption,
    /// Print the record of each run, as JSON on one line
    #[arg(long)]
    json: bool,
    // Last, because its heading applies to all options after it.
    #[command(flatten)]
    filter: Filter,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay runs follow --vault contoso-kv
  keyrelay runs follow --verdict failed,refused,rolled-back --json | while read -r run; do notify \"$run\"; done";

impl Follow {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let Self {
            store,
            json,
            filter,
        } = self;
        let store = store.open()?;
        let watch = Watch::begin(History::new(store.clone())).await;
        let watch = watch.map_err(|error| failed("list the runs in", &store, error))?;
        out::note(&format!(
            "following the runs in the store {store}; Ctrl-C ends it"
        ));
        let filter = RunFilter::from(filter);
        tokio::select! {
            () = print(watch, &filter, Lines::new(json)) => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C"),
        }
    }
}

/// Prints new runs until standard output is closed.
async fn print(mut watch: Watch, filter: &RunFilter, mut lines: Lines) {
    loop {
        for run in watch.next().await {
            if filter.matches(&Summary::of(&run)) && lines.print(&run).is_err() {
                return;
            }
        }
    }
}
