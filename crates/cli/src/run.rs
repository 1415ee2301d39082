//! `keyrelay run`: one decision.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use keyrelay_host::config::Config;
use keyrelay_host::route::route;
use keyrelay_host::{relay, start};
use keyrelay_model::AppId;
use keyrelay_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::ask::{Came, Outcome, Question};
use crate::given;
use crate::misuse::{OrMisuse, is_there};
use crate::out;
use crate::place::{self, Place};

/// Make one decision: an event and an app's settings in; the decision, the plan and the log out
///
/// Ends with 1 if the policy fails, or the check refuses what it wants, and with 2 if the event or the settings cannot be
/// read.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Run {
    /// The policy: a `.wasm`, or its project
    policy: PathBuf,
    /// The event as Event Grid sends it, in either schema: see `keyrelay events sample`; `-` is standard input
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    /// The settings: an object of names and values, or what `az functionapp config appsettings list` prints; `-` is standard input
    #[arg(long, value_name = "FILE")]
    settings: PathBuf,
    /// The app
    #[arg(
        long,
        default_value = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.Web/sites/orders"
    )]
    app: AppId,
    /// keyrelay.toml, or the folder with it. Its rule for the secret holds: grant, parameters and limits [default: the
    /// function app that the policy lies in, or the current folder]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  keyrelay events sample SecretNewVersionCreated --vault contoso-kv --secret sql > event.json
  az functionapp config appsettings list -g shop -n orders > settings.json
  keyrelay run policies/pin.wasm --event event.json --settings settings.json";

impl Run {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let place = place::policy(&self.policy)?;
        let question = self.question(&place).or_misuse()?;
        let policy = place.load(&Sandbox::new()?).await?;
        let came = question.ask(&policy).await;
        if self.json {
            out::line(&as_json(&question, &came).to_string());
        } else {
            for line in as_text(&question, &came) {
                out::line(&line);
            }
        }
        match came.outcome {
            Outcome::Error(reason) => Err(anyhow!("the policy fails: {reason}")),
            Outcome::Refused(reason) => Err(anyhow!("the check refuses the patch: {reason}")),
            _ => Ok(()),
        }
    }

    fn question(&self, place: &Place) -> anyhow::Result<Question> {
        ensure!(
            self.event != self.settings,
            "the event and the settings are both {}: give the settings in a file of their own",
            self.event.display()
        );
        let event = given::event(&self.event)?;
        let config = configuration(&self.config.clone().unwrap_or_else(|| place.home()))?;
        let policy = &place.name;
        let route = route(&config, &[], &event.name);
        let rule = route.rule;
        if let Some(other) = rule
            .and_then(|rule| rule.policy.as_deref())
            .filter(|it| !it.eq_ignore_ascii_case(policy))
        {
            let secret = &event.name;
            out::note(&format!(
                "keyrelay.toml has `{secret}` handled by `{other}`: {policy} is tried with the grant of that rule"
            ));
        }
        Ok(Question {
            settings: given::settings(&self.settings)?,
            app: self.app.clone(),
            parameters: rule.map(|rule| rule.parameters.clone()).unwrap_or_default(),
            grant: rule.map(|rule| rule.grant.clone()).unwrap_or_default(),
            limits: relay::limits(rule),
            vault_suffix: config.cloud.vault_suffix.clone(),
            event,
        })
    }
}

/// The configuration in a file, or in a folder, which may have none; without the app settings of anybody.
pub(crate) fn configuration(path: &Path) -> anyhow::Result<Config> {
    is_there(path)?;
    let environment = BTreeMap::new();
    let read = if path.is_file() {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Config::read(&text, &environment)
    } else {
        start::configuration(path, &environment)
    };
    read.map_err(|problems| {
        let problems: Vec<String> = problems
            .iter()
            .map(|problem| format!("\n  {problem}"))
            .collect();
        anyhow!("the configuration has problems:{}", problems.concat())
    })
}

fn decision(outcome: &Outcome) -> (&'static str, Option<&str>) {
    match outcome {
        Outcome::Patch(_) => ("patch", None),
        Outcome::Refused(reason) => ("patch", Some(reason)),
        Outcome::Refresh => ("refresh", None),
        Outcome::Notice(text) => ("notice", Some(text)),
        Outcome::Skip(reason) => ("skip", Some(reason)),
        Outcome::Error(reason) => ("error", Some(reason)),
    }
}

/// The plan in words: names and references, and of plain text only that it is.
fn plan(question: &Question, outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Patch(plan) => plan.describe(&question.vault_suffix),
        _ => Vec::new(),
    }
}

fn as_text(question: &Question, came: &Came) -> Vec<String> {
    let (word, message) = decision(&came.outcome);
    let mut lines = vec![match message {
        Some(message) => format!("decision  {word}: {message}"),
        None => format!("decision  {word}"),
    }];
    let plan = plan(question, &came.outcome);
    if plan.is_empty() && matches!(came.outcome, Outcome::Patch(_)) {
        lines.push("plan      nothing to change".to_owned());
    }
    lines.extend(plan.iter().map(|change| format!("plan      {change}")));
    lines.extend(came.log.iter().map(|line| format!("log       {line}")));
    lines.push(format!(
        "took      {} us, {} KiB of memory",
        came.elapsed.as_micros(),
        came.memory >> 10
    ));
    lines
}

fn as_json(question: &Question, came: &Came) -> Value {
    let (word, message) = decision(&came.outcome);
    json!({
        "decision": word,
        "refused": matches!(came.outcome, Outcome::Refused(_)),
        "message": message,
        "plan": plan(question, &came.outcome),
        "log": came.log,
        "duration_us": u64::try_from(came.elapsed.as_micros()).unwrap_or(u64::MAX),
        "memory_bytes": came.memory,
    })
}
