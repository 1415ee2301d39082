//! The filters of runs.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use keyrelay_config::SecretPattern;
use keyrelay_model::Verdict;
use keyrelay_records::Cause;
use keyrelay_records::filters::{AppName, RunFilter};

/// The options that filter runs. A run has to match every option that is given, and any of its
/// values.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Filters (each may be repeated, or take several values with commas between them)"
)]
pub(super) struct Filter {
    /// Runs with this verdict, of any app or of the run itself
    #[arg(long, value_delimiter = ',', value_parser = verdict_parser())]
    verdict: Vec<String>,
    /// Runs about this secret: a name, or a pattern like `sql-*`
    #[arg(long, value_delimiter = ',', value_name = "NAME|PATTERN")]
    secret: Vec<SecretPattern>,
    /// Runs about objects of this vault: its name, or its host
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    vault: Vec<String>,
    /// Runs that handled this app: a site (with its slots), site/slot, or the app's id. `--verdict`
    /// then applies to it
    #[arg(long, value_delimiter = ',', value_name = "NAME|ID")]
    app: Vec<AppName>,
    /// Runs with this cause
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(Cause::WORDS))]
    cause: Vec<String>,
}

impl From<Filter> for RunFilter {
    fn from(filter: Filter) -> Self {
        Self {
            verdicts: filter.verdict,
            secrets: filter.secret,
            vaults: filter.vault,
            apps: filter.app,
            causes: filter.cause,
        }
    }
}

/// Parses the word of a verdict, with a hyphen for its space.
fn verdict_parser() -> impl TypedValueParser<Value = String> {
    let words = Verdict::WORDS.map(|word| match word {
        "rolled back" => "rolled-back",
        word => word,
    });
    PossibleValuesParser::new(words).map(|word| word.replace('-', " "))
}
