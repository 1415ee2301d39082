//! `keyrelay run`: one decision of a policy.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::Args;
use keyrelay_config::{Config, route_of};
use keyrelay_model::{AppId, PlannedChange};
use keyrelay_sandbox::{Evaluation, EvaluationInputs, EvaluationOutcome, PolicyLimits};
use serde_json::{Value, json};

use crate::inputs;
use crate::out;
use crate::policy::{self, PolicyFile};
use crate::sandbox;
use crate::usage_error::{OrUsageError, require_exists};

/// Evaluate a policy once: print its decision, plan and log for an event and an app's settings
///
/// Exits with 1 if the policy fails or the check refuses its patch, and with 2 if the event or the
/// settings cannot be read.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct RunPolicy {
    /// The policy: a `.wasm`, or its project
    policy: PathBuf,
    /// The event as Event Grid sends it, in either schema: see `keyrelay events sample`; `-` is
    /// standard input
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    /// The settings: an object of names and values, or what
    /// `az functionapp config appsettings list` prints; `-` is standard input
    #[arg(long, value_name = "FILE")]
    settings: PathBuf,
    /// The resource id of the app
    #[arg(
        long,
        default_value = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.Web/sites/orders"
    )]
    app: AppId,
    /// keyrelay.toml, or its folder. Its rule for the secret gives the grant, the parameters and
    /// the limits [default: the function app that the policy is in, or the current folder]
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

impl RunPolicy {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let policy_file = policy::find_one(&self.policy)?;
        let inputs = self.inputs(&policy_file).or_usage_error()?;
        let policy = policy_file.load(&sandbox::new()?).await?;
        let evaluation = inputs.evaluate(&policy).await;
        if self.json {
            out::line(&as_json(&inputs, &evaluation).to_string());
        } else {
            for line in as_text(&inputs, &evaluation) {
                out::line(&line);
            }
        }
        match evaluation.outcome {
            EvaluationOutcome::Error(reason) => Err(anyhow!("the policy fails: {reason}")),
            EvaluationOutcome::Refused(reason) => {
                Err(anyhow!("the check refuses the patch: {reason}"))
            }
            _ => Ok(()),
        }
    }

    fn inputs(&self, policy_file: &PolicyFile) -> anyhow::Result<EvaluationInputs> {
        ensure!(
            self.event != self.settings,
            "the event and the settings are both {}: give the settings in a file of their own",
            self.event.display()
        );
        let event = inputs::event(&self.event)?;
        let config = configuration(&self.config.clone().unwrap_or_else(|| policy_file.home()))?;
        let policy = &policy_file.name;
        let route = route_of(&config, &[], event.vault_host.vault(), &event.name);
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
        let overrides = rule.map(|rule| rule.limits).unwrap_or_default();
        Ok(EvaluationInputs {
            settings: inputs::settings(&self.settings)?,
            app: self.app.clone(),
            parameters: rule.map(|rule| rule.parameters.clone()).unwrap_or_default(),
            grant: rule.map(|rule| rule.grant.clone()).unwrap_or_default(),
            limits: PolicyLimits::with(overrides.time, overrides.memory),
            vault_suffix: config.cloud.vault_suffix.clone(),
            event,
        })
    }
}

/// The configuration in a file, or in a folder, which may have none. App settings are not applied.
pub(crate) fn configuration(path: &Path) -> anyhow::Result<Config> {
    require_exists(path)?;
    let environment = BTreeMap::new();
    let read = if path.is_file() {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Config::read(&text, &environment)
    } else {
        Config::load(path, &environment)
    };
    read.map_err(|problems| {
        let problems: Vec<String> = problems
            .iter()
            .map(|problem| format!("\n  {problem}"))
            .collect();
        anyhow!("the configuration has problems:{}", problems.concat())
    })
}

fn decision(outcome: &EvaluationOutcome) -> (&'static str, Option<&str>) {
    match outcome {
        EvaluationOutcome::Patch(_) => ("patch", None),
        EvaluationOutcome::Refused(reason) => ("patch", Some(reason)),
        EvaluationOutcome::Refresh => ("refresh", None),
        EvaluationOutcome::Notice(text) => ("notice", Some(text)),
        EvaluationOutcome::Skip(reason) => ("skip", Some(reason)),
        EvaluationOutcome::Error(reason) => ("error", Some(reason)),
    }
}

/// The plan as text: names and references. Plain text is mentioned, not shown.
fn plan(inputs: &EvaluationInputs, outcome: &EvaluationOutcome) -> Vec<PlannedChange> {
    match outcome {
        EvaluationOutcome::Patch(plan) => plan.describe(&inputs.vault_suffix),
        _ => Vec::new(),
    }
}

fn as_text(inputs: &EvaluationInputs, evaluation: &Evaluation) -> Vec<String> {
    let (word, message) = decision(&evaluation.outcome);
    let mut lines = vec![match message {
        Some(message) => format!("decision  {word}: {message}"),
        None => format!("decision  {word}"),
    }];
    let plan = plan(inputs, &evaluation.outcome);
    if plan.is_empty() && matches!(evaluation.outcome, EvaluationOutcome::Patch(_)) {
        lines.push("plan      nothing to change".to_owned());
    }
    lines.extend(plan.iter().map(|change| format!("plan      {change}")));
    lines.extend(
        evaluation
            .log
            .iter()
            .map(|line| format!("log       {line}")),
    );
    lines.push(format!(
        "took      {} us, {} KiB of memory",
        evaluation.elapsed.as_micros(),
        evaluation.memory >> 10
    ));
    lines
}

fn as_json(inputs: &EvaluationInputs, evaluation: &Evaluation) -> Value {
    let (word, message) = decision(&evaluation.outcome);
    json!({
        "decision": word,
        "refused": matches!(evaluation.outcome, EvaluationOutcome::Refused(_)),
        "message": message,
        "plan": plan(inputs, &evaluation.outcome),
        "log": evaluation.log,
        "duration_us": u64::try_from(evaluation.elapsed.as_micros()).unwrap_or(u64::MAX),
        "memory_bytes": evaluation.memory,
    })
}
