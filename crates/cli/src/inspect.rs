//! `keyrelay inspect`: what a policy is, and how it would run.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use keyrelay_host::config::{Config, Rule};
use keyrelay_host::relay;
use keyrelay_model::Grant;
use keyrelay_model::SecretName;
use keyrelay_sandbox::{Digest, LoadError, Loaded, Lock, Policy, Sandbox, View, precompiled_file, read_policy};
use serde_json::{Value, json};

use crate::out;
use crate::place::{self, Place};
use crate::run::configuration;

/// Show what a policy is, what it may do, and why it is quarantined
///
/// Ends with 1 if a file is no policy, or policies.lock does not vouch for it.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The policy: a `.wasm`, its project, or a folder with several
    #[arg(default_value = ".")]
    policy: PathBuf,
    /// The folder with keyrelay.toml and policies.lock
    #[arg(long, default_value = ".")]
    config: PathBuf,
    /// Print one JSON object for each policy
    #[arg(long)]
    json: bool,
}

/// Everything there is to say about a file.
struct Report {
    name: String,
    file: PathBuf,
    bytes: Option<usize>,
    digest: Option<Digest>,
    imports: Result<Vec<String>, String>,
    loaded: Result<Policy, String>,
    locked: &'static str,
    precompiled: String,
}

impl Inspect {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let places = place::policies(&self.policy)?;
        let config = configuration(&self.config)?;
        let lock = Lock::read(&self.config)?;
        let sandbox = Sandbox::new()?;
        let mut quarantined = 0;
        for (number, place) in places.iter().enumerate() {
            let report = report(&sandbox, place, lock.as_ref()).await;
            quarantined += usize::from(report.loaded.is_err());
            let rules: Vec<&Rule> = rules(&config, &report.name);
            if self.json {
                out::line(&as_json(&report, &rules).to_string());
                continue;
            }
            if number > 0 {
                out::line("");
            }
            for (name, value) in as_text(&report, &rules) {
                out::line(format!("{name:12}  {value}").trim_end());
            }
        }
        ensure!(quarantined == 0, "{quarantined} of {} policies would be quarantined", places.len());
        Ok(())
    }
}

async fn report(sandbox: &Sandbox, place: &Place, lock: Option<&Lock>) -> Report {
    let words = |error: LoadError| out::chain(&error);
    let bytes = read_policy(&place.wasm).map_err(words);
    let has_precompiled = precompiled_file(&place.wasm).is_file();
    let (loaded, locked, precompiled) = match lock {
        None => {
            let precompiled = if has_precompiled { "not used: there is no policies.lock" } else { "no" };
            (sandbox.load_file(&place.wasm).await.map_err(words), "there is no policies.lock", precompiled.to_owned())
        }
        Some(lock) => match lock.get(&place.name) {
            None => (Err("policies.lock does not name it".to_owned()), "no", "no".to_owned()),
            Some(entry) => match sandbox.load_locked(&place.wasm, *entry).await {
                Err(error) => (Err(words(error)), "no", "no".to_owned()),
                Ok(Loaded { policy, not_used: Some(reason), .. }) => (Ok(policy), "yes", format!("not used: {reason}")),
                Ok(Loaded { policy, not_used: None, .. }) => {
                    let precompiled = if entry.precompiled.is_some() { "yes, for this machine" } else { "no" };
                    (Ok(policy), "yes", precompiled.to_owned())
                }
            },
        },
    };
    let imports = match &bytes {
        Ok(bytes) => sandbox.imports(bytes).map_err(words),
        Err(reason) => Err(reason.clone()),
    };
    let bytes = bytes.ok();
    Report {
        name: place.name.clone(),
        file: place.wasm.clone(),
        digest: bytes.as_deref().map(Digest::of),
        bytes: bytes.map(|bytes| bytes.len()),
        imports,
        loaded,
        locked,
        precompiled,
    }
}

/// The rules that name the policy, or that leave it to the secret's name.
fn rules<'a>(config: &'a Config, name: &str) -> Vec<&'a Rule> {
    let is_its = |rule: &&Rule| rule.policy.as_deref().is_some_and(|policy| policy.eq_ignore_ascii_case(name));
    config.rules.iter().filter(is_its).collect()
}

fn as_text(report: &Report, rules: &[&Rule]) -> Vec<(&'static str, String)> {
    let mut lines = vec![("policy", report.name.clone()), ("file", report.file.display().to_string())];
    if let (Some(bytes), Some(digest)) = (report.bytes, report.digest) {
        lines.push(("size", format!("{bytes} bytes")));
        lines.push(("digest", digest.to_string()));
    }
    match &report.loaded {
        Ok(policy) => {
            let about = policy.about();
            lines.push(("describes", format!("{} {}: {}", about.name, about.version, about.summary)));
            lines.push(("decides", occurrences(policy).join(", ")));
            lines.push(("looks at", looks_at(policy).to_owned()));
        }
        Err(reason) => lines.push(("quarantined", reason.clone())),
    }
    match &report.imports {
        Ok(imports) if imports.is_empty() => lines.push(("imports", "nothing".to_owned())),
        Ok(imports) => lines.push(("imports", format!("{} (all of it empty)", imports.join(", ")))),
        Err(_) => {}
    }
    lines.push(("locked", report.locked.to_owned()));
    lines.push(("precompiled", report.precompiled.clone()));
    if rules.is_empty() {
        let meant_for = match report.name.parse::<SecretName>() {
            Ok(secret) => format!("it is for the secret `{secret}`, with no grant"),
            Err(_) => "it is for nothing, because no secret can have its name".to_owned(),
        };
        lines.push(("rule", format!("none names it: {meant_for}")));
        lines.push(("limits", limits(None)));
    }
    for rule in rules {
        lines.push(("rule", format!("secret = \"{}\"", rule.secret)));
        lines.push(("grant", grant(&rule.grant)));
        lines.push(("limits", limits(Some(rule))));
    }
    lines
}

fn as_json(report: &Report, rules: &[&Rule]) -> Value {
    let about = report.loaded.as_ref().ok().map(|policy| {
        let about = policy.about();
        json!({
            "name": about.name, "version": about.version, "summary": about.summary,
            "occurrences": occurrences(policy), "view": looks_at(policy),
        })
    });
    let rule = |rule: &&Rule| json!({ "secret": rule.secret.to_string(), "grant": grant(&rule.grant), "limits": limits(Some(rule)) });
    json!({
        "name": report.name,
        "file": report.file.display().to_string(),
        "bytes": report.bytes,
        "digest": report.digest.map(|digest| digest.to_string()),
        "about": about,
        "quarantined": report.loaded.as_ref().err(),
        "imports": report.imports.as_ref().ok(),
        "locked": report.locked,
        "precompiled": report.precompiled,
        "rules": rules.iter().map(rule).collect::<Vec<_>>(),
    })
}

fn occurrences(policy: &Policy) -> Vec<String> {
    policy.about().occurrences.iter().map(ToString::to_string).collect()
}

fn looks_at(policy: &Policy) -> &'static str {
    match policy.about().view {
        View::References => "references; all settings by name when it patches",
        View::Settings => "all settings by name",
    }
}

fn grant(grant: &Grant) -> String {
    let list = |key: &str, names: Vec<String>| (!names.is_empty()).then(|| format!("{key} = {names:?}"));
    let texts = |patterns: &[keyrelay_model::NamePattern]| patterns.iter().map(|it| it.as_str().to_owned()).collect();
    let secrets = grant.secrets.iter().map(ToString::to_string).collect();
    let parts = [
        list("set", texts(&grant.set)),
        list("remove", texts(&grant.remove)),
        list("reveal", grant.reveal.iter().map(ToString::to_string).collect()),
        list("secrets", secrets),
        grant.text.then(|| "text = true".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing beyond the references to its secret".to_owned() } else { parts.join(", ") }
}

fn limits(rule: Option<&Rule>) -> String {
    let limits = relay::limits(rule);
    format!("{} ms, {} MiB of memory", limits.time.as_millis(), limits.memory >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_of_nothing_is_said_in_words() {
        assert_eq!(grant(&Grant::default()), "nothing beyond the references to its secret");
        assert_eq!(grant(&Grant { text: true, ..Grant::default() }), "text = true");
    }
}
