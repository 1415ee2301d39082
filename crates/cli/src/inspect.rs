//! `keyrelay inspect`: the description of a policy, and the rules it runs with.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use keyrelay_config::{Config, Rule};
use keyrelay_config::{DEFAULT_POLICY, route_of};
use keyrelay_model::{Grant, NamePattern, SecretName};
use keyrelay_sandbox::{
    Checked, Digest, LoadError, Lock, Policy, PolicyLimits, Sandbox, View, precompiled_file,
    read_policy,
};
use serde_json::{Value, json};

use crate::out;
use crate::policy::{self, PolicyFile};
use crate::run::configuration;
use crate::sandbox;
use crate::usage_error::OrUsageError;

/// Show the description, the grant and the lock state of policies
///
/// Exits with 1 if a policy would be quarantined: if a file is not a policy, or does not match
/// policies.lock.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The policy: a `.wasm`, its project, or a folder with several
    #[arg(default_value = ".")]
    policy: PathBuf,
    /// keyrelay.toml, or its folder; policies.lock is beside it [default: the function app that the
    /// policy is in, or the current folder]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Print the results as JSON, one line per policy
    #[arg(long)]
    json: bool,
}

/// The properties of a policy's file.
struct PolicyReport {
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
        let policy_files = policy::find_all(&self.policy)?;
        let path = self
            .config
            .or_else(|| policy_files.first().map(PolicyFile::home))
            .unwrap_or_default();
        let config = configuration(&path).or_usage_error()?;
        let folder = if path.is_file() {
            path.parent().unwrap_or(&path)
        } else {
            &path
        };
        let lock = Lock::that_applies(folder, config.locked, &config.trusted_keys)
            .context("keyrelay-host would not start")?;
        let sandbox = sandbox::new()?;
        let mut quarantined = 0;
        for (number, policy_file) in policy_files.iter().enumerate() {
            let report = report(&sandbox, policy_file, lock.as_ref()).await;
            quarantined += usize::from(report.loaded.is_err());
            let rules: Vec<&Rule> = rules(&config, &report.name);
            if self.json {
                out::line(&as_json(&report, &rules).to_string());
                continue;
            }
            if number > 0 {
                out::line("");
            }
            for (name, value) in as_text(&report, &config, &rules) {
                out::line(format!("{name:12}  {value}").trim_end());
            }
        }
        ensure!(
            quarantined == 0,
            "{quarantined} of {} policies would be quarantined",
            policy_files.len()
        );
        Ok(())
    }
}

async fn report(sandbox: &Sandbox, policy_file: &PolicyFile, lock: Option<&Lock>) -> PolicyReport {
    let words = |error: LoadError| out::chain(&error);
    let bytes = read_policy(&policy_file.wasm).map_err(words);
    let (loaded, locked, precompiled) = load(sandbox, policy_file, lock).await;
    let imports = match &bytes {
        Ok(bytes) => sandbox.imports(bytes).map_err(words),
        Err(reason) => Err(reason.clone()),
    };
    let bytes = bytes.ok();
    PolicyReport {
        name: policy_file.name.clone(),
        file: policy_file.wasm.clone(),
        digest: bytes.as_deref().map(Digest::of),
        bytes: bytes.map(|bytes| bytes.len()),
        imports,
        loaded,
        locked,
        precompiled,
    }
}

/// Compiles a policy, and compares its precompiled form with that. Returns the policy, whether it is locked, and whether its
/// precompiled form is used.
async fn load(
    sandbox: &Sandbox,
    policy_file: &PolicyFile,
    lock: Option<&Lock>,
) -> (Result<Policy, String>, &'static str, String) {
    let words = |error: LoadError| out::chain(&error);
    match lock {
        None => {
            let precompiled = if precompiled_file(&policy_file.wasm).is_file() {
                "not used: there is no policies.lock"
            } else {
                "no"
            };
            (
                sandbox.load_file(&policy_file.wasm).await.map_err(words),
                "there is no policies.lock",
                precompiled.to_owned(),
            )
        }
        Some(lock) => match lock.get(&policy_file.name) {
            None => (
                Err("policies.lock does not name it".to_owned()),
                "no",
                "no".to_owned(),
            ),
            Some(entry) => match sandbox.check_locked(&policy_file.wasm, *entry).await {
                Err(error) => (Err(words(error)), "no", "no".to_owned()),
                Ok(Checked {
                    policy,
                    not_used: Some(reason),
                    ..
                }) => (Ok(policy), "yes", format!("not used: {reason}")),
                Ok(Checked {
                    policy,
                    not_used: None,
                    ..
                }) => {
                    let precompiled = if entry.precompiled.is_some() {
                        "yes, for this machine"
                    } else {
                        "no"
                    };
                    (Ok(policy), "yes", precompiled.to_owned())
                }
            },
        },
    }
}

/// A vault that no rule names, because it is no valid name.
const OTHER_VAULT: &str = "";

/// The rules that the policy is evaluated with: those that name it, and those for the secret with
/// its name in each vault, unless they name another policy. For `follow` also all rules without a
/// policy.
fn rules<'a>(config: &'a Config, name: &str) -> Vec<&'a Rule> {
    let named = config.rules.iter().filter_map(|rule| rule.vault.as_deref());
    let vaults = named.chain([OTHER_VAULT]);
    let secret = name.parse::<SecretName>().ok();
    let rule_in = |vault| route_of(config, &[name.to_owned()], vault, secret.as_ref()?).rule;
    let of_its_secret: Vec<&Rule> = vaults.filter_map(rule_in).collect();
    let is_its = |rule: &&Rule| match &rule.policy {
        Some(policy) => policy.eq_ignore_ascii_case(name),
        None => name == DEFAULT_POLICY || of_its_secret.iter().any(|its| std::ptr::eq(*its, *rule)),
    };
    config.rules.iter().filter(is_its).collect()
}

fn as_text(report: &PolicyReport, config: &Config, rules: &[&Rule]) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("policy", report.name.clone()),
        ("file", report.file.display().to_string()),
    ];
    if let (Some(bytes), Some(digest)) = (report.bytes, report.digest) {
        lines.push(("size", format!("{bytes} bytes")));
        lines.push(("digest", digest.to_string()));
    }
    match &report.loaded {
        Ok(policy) => {
            let about = policy.about();
            lines.push((
                "describes",
                format!("{} {}: {}", about.name, about.version, about.summary),
            ));
            lines.push(("decides", occurrences(policy).join(", ")));
            lines.push(("view", view(policy).to_owned()));
        }
        Err(reason) => lines.push(("quarantined", reason.clone())),
    }
    match &report.imports {
        Ok(imports) if imports.is_empty() => lines.push(("imports", "nothing".to_owned())),
        Ok(imports) => lines.push((
            "imports",
            format!("{} (all of it empty)", imports.join(", ")),
        )),
        Err(_) => {}
    }
    lines.push(("locked", report.locked.to_owned()));
    lines.push(("precompiled", report.precompiled.clone()));
    if rules.is_empty() {
        lines.push((
            "rule",
            format!("none names it: {}", meant_for(config, &report.name)),
        ));
        lines.push(("limits", limits(None)));
    }
    for rule in rules {
        lines.push(("rule", format!("secret = \"{}\"", secret_of(rule))));
        lines.push(("grant", grant(&rule.grant)));
        lines.push(("limits", limits(Some(rule))));
    }
    lines
}

/// The secret of a rule as `vault/name`, or its name alone if the rule names no vault.
fn secret_of(rule: &Rule) -> String {
    let vault = rule.vault.as_ref().map(|vault| format!("{vault}/"));
    format!("{}{}", vault.unwrap_or_default(), rule.secret)
}

/// The use of a policy that no rule names.
fn meant_for(config: &Config, name: &str) -> String {
    let Ok(secret) = name.parse::<SecretName>() else {
        return "it is for nothing, because no secret can have its name".to_owned();
    };
    let handled_by = route_of(config, &[name.to_owned()], OTHER_VAULT, &secret).policy;
    if name == DEFAULT_POLICY {
        "it is for secrets that have no policy of their own, with no grant".to_owned()
    } else if handled_by.eq_ignore_ascii_case(name) {
        format!("it is for the secret `{secret}`, with no grant")
    } else {
        format!(
            "it is for nothing, because a rule has the secret `{secret}` handled by `{handled_by}`"
        )
    }
}

fn as_json(report: &PolicyReport, rules: &[&Rule]) -> Value {
    let about = report.loaded.as_ref().ok().map(|policy| {
        let about = policy.about();
        json!({
            "name": about.name, "version": about.version, "summary": about.summary,
            "occurrences": occurrences(policy), "view": view(policy),
        })
    });
    let rule = |rule: &&Rule| {
        json!({
            "secret": rule.secret.to_string(), "vault": rule.vault, "grant": grant_as_json(&rule.grant), "limits": limits_as_json(Some(rule)),
        })
    };
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
        "without_rule": { "grant": grant_as_json(&Grant::default()), "limits": limits_as_json(None) },
    })
}

fn occurrences(policy: &Policy) -> Vec<String> {
    policy
        .about()
        .occurrences
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn view(policy: &Policy) -> &'static str {
    match policy.about().view {
        View::References => "references; all settings by name when it patches",
        View::Settings => "all settings by name",
    }
}

fn grant(grant: &Grant) -> String {
    let list =
        |key: &str, names: Vec<String>| (!names.is_empty()).then(|| format!("{key} = {names:?}"));
    let texts =
        |patterns: &[NamePattern]| patterns.iter().map(|it| it.as_str().to_owned()).collect();
    let secrets = grant.secrets.iter().map(ToString::to_string).collect();
    let parts = [
        list("set", texts(&grant.set)),
        list("remove", texts(&grant.remove)),
        list(
            "reveal",
            grant.reveal.iter().map(ToString::to_string).collect(),
        ),
        list("secrets", secrets),
        grant.text.then(|| "text = true".to_owned()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "nothing beyond the references to its secret".to_owned()
    } else {
        parts.join(", ")
    }
}

fn grant_as_json(grant: &Grant) -> Value {
    let texts = |patterns: &[NamePattern]| {
        patterns
            .iter()
            .map(|it| it.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    json!({
        "set": texts(&grant.set),
        "remove": texts(&grant.remove),
        "reveal": grant.reveal.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "secrets": grant.secrets.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "text": grant.text,
    })
}

fn sandbox_limits(rule: Option<&Rule>) -> PolicyLimits {
    let overrides = rule.map(|rule| rule.limits).unwrap_or_default();
    PolicyLimits::with(overrides.time, overrides.memory)
}

fn limits_as_json(rule: Option<&Rule>) -> Value {
    let limits = sandbox_limits(rule);
    json!({ "time_ms": u64::try_from(limits.time.as_millis()).unwrap_or(u64::MAX), "memory_bytes": limits.memory })
}

fn limits(rule: Option<&Rule>) -> String {
    let limits = sandbox_limits(rule);
    format!(
        "{} ms, {} MiB of memory",
        limits.time.as_millis(),
        limits.memory >> 20
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_those_that_the_policy_is_evaluated_with() {
        let text = "[[rotation]]\nsecret = \"sql-a\"\n[[rotation]]\nsecret = \"sql-*\"\n\
                    [[rotation]]\nsecret = \"web-*\"\npolicy = \"pin\"\n";
        let config = Config::read(text, &std::collections::BTreeMap::new()).unwrap();
        let secrets = |name: &str| -> Vec<String> {
            rules(&config, name)
                .iter()
                .map(|rule| rule.secret.to_string())
                .collect()
        };
        assert_eq!(secrets("sql-a"), ["sql-a"]);
        assert_eq!(secrets("sql-b"), ["sql-*"]);
        assert_eq!(secrets("pin"), ["web-*"]);
        assert_eq!(secrets("follow"), ["sql-a", "sql-*"]);
        // Its secret has another policy, or no rule.
        assert_eq!(secrets("web-a"), [] as [&str; 0]);
        assert!(meant_for(&config, "web-a").contains("handled by `pin`"));
        assert_eq!(secrets("other"), [] as [&str; 0]);
        let text = "[[rotation]]\nsecret = \"a-kv/sql\"\n[[rotation]]\nsecret = \"b-kv/sql\"\npolicy = \"pin\"\n\
                    [[rotation]]\nsecret = \"s*\"\n[[rotation]]\nsecret = \"sql\"\n";
        let config = Config::read(text, &std::collections::BTreeMap::new()).unwrap();
        let its: Vec<String> = rules(&config, "sql").into_iter().map(secret_of).collect();
        assert_eq!(its, ["a-kv/sql", "s*"]);
    }

    #[test]
    fn an_empty_grant_has_a_text() {
        assert_eq!(
            grant(&Grant::default()),
            "nothing beyond the references to its secret"
        );
        assert_eq!(
            grant(&Grant {
                text: true,
                ..Grant::default()
            }),
            "text = true"
        );
    }
}
