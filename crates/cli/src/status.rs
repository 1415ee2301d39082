//! `keyrelay status`: which app uses which secret, in which version, and what is not as it should be.

mod live;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use keyrelay_config::SecretPattern;
use keyrelay_records::csv;
use keyrelay_records::filters::{AppName, UseFilter};
use keyrelay_records::fleet::{Fleet, State};
use serde_json::{Value, json};

use crate::out;
use crate::store_option::StoreOption;

/// The age of the oldest run whose failure counts. Work that fails is given up after a day.
const RUNS_OF: Duration = Duration::from_hours(24 * 7);

const STATES: [&str; 7] = [
    "broken",
    "behind",
    "set-back",
    "expiring",
    "unproven",
    "not-watched",
    "fresh",
];

/// Show which app uses which secret, in which version, and what is behind or broken
///
/// It reads keyrelay's store: the index of references, the pending work, the holds, and the runs of the last
/// 7 days. With `--live` it also reads from Azure what the apps have now. The states, worst first:
///
///   broken       the last run failed, was refused or was rolled back, and nothing is pending; with `--live`,
///                also: Azure does not resolve the reference, or does not have the app
///
///   behind       a newer version is known, or work is pending
///
///   set back     a person has set the app back to an older version
///
///   expiring     the newest version expires within 30 days, or has expired
///
///   unproven     no version was handled yet
///
///   not watched  events change nothing, because of `vaults`, the mode, the rule or a hold; with `--live`,
///                also: the reference is gone
///
///   fresh        the app has the newest version that is known
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Status {
    #[command(flatten)]
    store: StoreOption,
    /// Print JSON: each reference with its state
    #[arg(long)]
    json: bool,
    /// Print CSV: one line for each reference. No cell is a formula for a spreadsheet
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Write one page of HTML, which needs no other file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "csv"])]
    html: Option<PathBuf>,
    /// Read from Azure too: the references of these apps, and the versions of their secrets
    ///
    /// It needs an account with the role `Website Contributor` on the apps, or another one with
    /// Microsoft.Web/sites/config/Read, and the right to list the secrets of the vaults. It takes some 25 apps
    /// a second, as Azure limits it.
    #[arg(long)]
    live: bool,
    /// End with 1 if an app is behind or broken
    #[arg(long)]
    check: bool,
    /// Maximum number of apps in the table; all with 0
    #[arg(long, default_value = "20", value_name = "N")]
    limit: usize,
    #[command(flatten)]
    filter: Filter,
}

/// The options that filter uses. A use has to match every option that is given, and any of its
/// values.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Filters (each may be repeated, or take several values with commas between them)"
)]
struct Filter {
    /// Apps in this state
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(STATES).map(|word| word.replace('-', " ")))]
    state: Vec<String>,
    /// This secret: a name, or a pattern like `sql-*`
    #[arg(long, value_delimiter = ',', value_name = "NAME|PATTERN")]
    secret: Vec<SecretPattern>,
    /// Secrets of this vault: its name, or its host
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    vault: Vec<String>,
    /// This app: a site (with its slots), site/slot, or the app's id
    #[arg(long, value_delimiter = ',', value_name = "NAME|ID")]
    app: Vec<AppName>,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay status
      all apps, worst first, from .keyrelay/store below the current folder
  keyrelay status --store https://contoso.blob.core.windows.net/keyrelay --state broken,behind --limit 0
      everything that needs work, in Azure; `az login` first
  keyrelay status --secret 'sql-*' --app orders --json | jq '.uses[].version'
      the versions that one app has of some secrets
  keyrelay status --live --secret sql --html fleet.html
      a page to hand over, with what Azure shows now
  keyrelay status --check
      for a script: ends with 1 if an app is behind or broken";

impl Status {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self {
            store,
            json,
            csv,
            html,
            live,
            check,
            limit,
            filter,
        } = self;
        let store = store.open()?;
        let now = Timestamp::now();
        let fleet = Fleet::read(&store, now - RUNS_OF).await;
        let mut fleet =
            fleet.with_context(|| format!("cannot read the fleet from the store {store}"))?;
        for reason in &fleet.unreadable {
            out::warning(&format!("a part of the index cannot be read: {reason}"));
        }
        let filter = UseFilter::from(filter);
        match live {
            // The state may become another one.
            true => fleet.uses.retain(|it| filter.matches_but_for_state(it)),
            false => fleet.uses.retain(|it| filter.matches(it)),
        }
        if live {
            live::compare(&mut fleet).await?;
            fleet.uses.retain(|it| filter.matches(it));
        }
        let is_empty = fleet.uses.is_empty();
        if let Some(file) = &html {
            let page = keyrelay_ui::fleet_document(&fleet, now);
            let written = std::fs::write(file, page);
            written.with_context(|| format!("cannot write {}", file.display()))?;
            out::note(&format!(
                "{} has {}",
                file.display(),
                out::counted(fleet.uses.len(), "reference", "references")
            ));
        } else if json {
            out::line(&out::indented(&to_json(&fleet)));
        } else if csv {
            print_csv(&fleet);
        } else {
            table::print(&fleet, limit, now);
        }
        if is_empty {
            out::note(&format!("no such uses of secrets in the store {store}"));
        }
        if fleet.swept.is_none() {
            out::note(
                "no sweep of all apps has come to its end yet: some may be missing. The reconcile timer makes one",
            );
        }
        let (broken, behind) = (fleet.count(State::Broken), fleet.count(State::Behind));
        if check && broken + behind > 0 {
            bail!("{broken} broken, {behind} behind");
        }
        Ok(())
    }
}

impl From<Filter> for UseFilter {
    fn from(filter: Filter) -> Self {
        Self {
            states: filter.state,
            secrets: filter.secret,
            vaults: filter.vault,
            apps: filter.app,
        }
    }
}

/// Prints a line for each use, and one with the names of the columns before them.
fn print_csv(fleet: &Fleet) {
    const COLUMNS: [&str; 16] = [
        "state",
        "behind since",
        "reason",
        "vault",
        "secret",
        "app",
        "setting",
        "connection string",
        "pinned",
        "identity",
        "version",
        "evidence",
        "at",
        "newest version",
        "created",
        "expires",
    ];
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let lines = fleet.uses.iter().map(|it| {
        let (current, newest) = (it.current.as_ref(), it.newest.as_ref());
        csv::line([
            it.state.as_str().to_owned(),
            time(it.behind_since),
            it.reason.clone(),
            it.vault.clone(),
            it.secret.clone(),
            it.app.to_string(),
            it.reference.setting.clone(),
            it.reference.is_connection_string.to_string(),
            text(&it.reference.version),
            text(&it.reference.identity),
            current.map(|it| it.version.clone()).unwrap_or_default(),
            current
                .and_then(|it| it.evidence.clone())
                .unwrap_or_default(),
            time(current.map(|it| it.at)),
            newest.map(|it| it.version.clone()).unwrap_or_default(),
            time(newest.map(|it| it.created)),
            time(newest.and_then(|it| it.expires)),
        ])
    });
    let head = csv::line(COLUMNS.map(str::to_owned));
    for line in std::iter::once(head).chain(lines) {
        if out::data(line.trim_end_matches(['\r', '\n'])).is_err() {
            break;
        }
    }
}

fn to_json(fleet: &Fleet) -> Value {
    let counts = State::ALL.map(|state| (state.as_str(), fleet.count(state)));
    let counts: BTreeMap<&str, usize> = counts.into_iter().collect();
    let uses = fleet.uses.iter().map(|it| {
        let (current, newest) = (it.current.as_ref(), it.newest.as_ref());
        json!({
            "state": it.state.as_str(),
            "behind_since": it.behind_since,
            "reason": it.reason,
            "vault": it.vault,
            "secret": it.secret,
            "app": it.app.to_string(),
            "setting": it.reference.setting,
            "is_connection_string": it.reference.is_connection_string,
            "pinned": it.reference.version,
            "identity": it.reference.identity,
            "version": current.map(|current| &current.version),
            "evidence": current.and_then(|current| current.evidence.as_ref()),
            "at": current.map(|current| current.at),
            "newest": newest.map(|newest| &newest.version),
            "created": newest.map(|newest| newest.created),
            "expires": newest.and_then(|newest| newest.expires),
        })
    });
    let uses: Vec<Value> = uses.collect();
    json!({ "swept": fleet.swept, "counts": counts, "uses": uses })
}
