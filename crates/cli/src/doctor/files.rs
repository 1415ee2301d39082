//! Checks of the function app's files: host.json, functions, policies, and time limits.

use std::path::Path;
use std::time::Duration;

use keyrelay_config::{Config, Mode};
use keyrelay_sandbox::{
    Checked, LOCK_FILE, LoadError, Lock, LockError, NotUsed, Policy, PolicyLimits, Sandbox,
    policy_files,
};
use serde_json::Value;

use super::finding::Findings;
use crate::out;
use crate::sandbox;

/// The time limit of one call of the reconcile timer.
const RECONCILE: Duration = Duration::from_secs(5 * 60);

/// The folders of the functions, each with the type of its trigger.
const FUNCTIONS: [(&str, &str); 2] = [
    ("SecretEvent", "eventGridTrigger"),
    ("Reconcile", "timerTrigger"),
];

/// The function of the pages, which is needed only if they are on.
const PAGES: (&str, &str) = ("Ui", "httpTrigger");

pub(super) async fn check(folder: &Path, config: Option<&Config>, findings: &mut Findings) {
    host(folder, findings);
    let pages = config.is_some_and(|config| config.ui).then_some(PAGES);
    for (function, trigger) in FUNCTIONS.into_iter().chain(pages) {
        let file = folder.join(function).join("function.json");
        match read(&file) {
            Err(why) => findings.bad(
                "functions",
                why,
                "take the folder from the package, or from a release",
            ),
            Ok(json) if !has_trigger(&json, trigger) => {
                let fix = format!("give it a binding of the type `{trigger}`, as in the package");
                findings.bad(
                    "functions",
                    format!("{} has no {trigger}", file.display()),
                    fix,
                );
            }
            Ok(_) => findings.good("functions", format!("{function} has its {trigger}")),
        }
    }
    let loaded = policies(folder, config, findings).await;
    if let Some(config) = config {
        mode(config, findings);
        rules(config, &loaded, findings).await;
    }
}

fn host(folder: &Path, findings: &mut Findings) {
    let file = folder.join("host.json");
    let json = match read(&file) {
        Ok(json) => json,
        Err(why) => {
            return findings.bad(
                "host.json",
                why,
                "name the folder of the function app: keyrelay doctor FOLDER",
            );
        }
    };
    let path = json
        .pointer("/customHandler/description/defaultExecutablePath")
        .and_then(Value::as_str);
    match path {
        Some(path) if folder.join(path).is_file() => {
            findings.good("host.json", format!("starts {path}"))
        }
        Some(path) => findings.bad(
            "host.json",
            format!(
                "`customHandler.description.defaultExecutablePath` is {path}, which is not there"
            ),
            "put keyrelay-host beside it: `cargo xtask package` makes it",
        ),
        None => findings.bad(
            "host.json",
            "it has no `customHandler.description.defaultExecutablePath`",
            "set it to \"keyrelay-host\"",
        ),
    }
    // The default of Flex Consumption is 30 minutes.
    let words = json.get("functionTimeout").and_then(Value::as_str);
    match words.map(|words| (words, duration(words))) {
        Some((words, Some(limit))) if limit < RECONCILE => findings.bad(
            "time limits",
            format!("`functionTimeout` in host.json is {words}: the timer needs up to 5 minutes, and is then killed with all else"),
            "set it to \"00:10:00\", or leave it out",
        ),
        Some((words, None)) if words != "-1" => {
            findings.bad("time limits", format!("`functionTimeout` in host.json is `{words}`"), "write it as \"00:10:00\"");
        }
        _ => findings.good("time limits", "host.json leaves the timer its 5 minutes"),
    }
}

/// Parses `hh:mm:ss`, or `d.hh:mm:ss`.
fn duration(words: &str) -> Option<Duration> {
    let (days, rest) = words.split_once('.').unwrap_or(("0", words));
    let parts: Vec<u64> = rest
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts.as_slice() else {
        return None;
    };
    let hours = days
        .parse::<u64>()
        .ok()?
        .checked_mul(24)?
        .checked_add(*hours)?;
    Some(Duration::from_secs(
        hours
            .checked_mul(3_600)?
            .checked_add(minutes * 60)?
            .checked_add(*seconds)?,
    ))
}

fn read(file: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{} is no JSON: {error}", file.display()))
}

fn has_trigger(json: &Value, trigger: &str) -> bool {
    let bindings = json.get("bindings").and_then(Value::as_array);
    bindings.is_some_and(|all| {
        all.iter()
            .any(|it| it.get("type").and_then(Value::as_str) == Some(trigger))
    })
}

/// Compiles the policies, and compares them with the lock.
async fn policies(folder: &Path, config: Option<&Config>, findings: &mut Findings) -> Vec<Policy> {
    let policies = folder.join("policies");
    let files = match policy_files(&policies) {
        Ok(files) if !files.is_empty() => files,
        _ => {
            let fix = "put policies there: those of the package, or your own";
            let words = format!("there is no policy in {}", policies.display());
            findings.bad("policies", words, fix);
            return Vec::new();
        }
    };
    let lock = match lock(folder, config) {
        Ok(lock) => lock,
        Err((words, fix)) => {
            findings.bad("policies", words, fix);
            return Vec::new();
        }
    };
    let sandbox = match sandbox::new() {
        Ok(sandbox) => sandbox,
        Err(error) => {
            let fix = "use a machine that WebAssembly can run on";
            findings.bad("policies", out::chain(error.as_ref()), fix);
            return Vec::new();
        }
    };
    let mut loaded = Vec::new();
    for (name, file) in files {
        let what = format!("policy {name}");
        match load(&sandbox, &name, &file, lock.as_ref()).await {
            Ok((policy, words)) => {
                findings.good(&what, words);
                loaded.push(policy);
            }
            Err((words, fix)) => findings.bad(&what, words, fix),
        }
    }
    loaded
}

/// Loads a policy, and tells whether it is locked. An error has its message and the fix.
async fn load(
    sandbox: &Sandbox,
    name: &str,
    file: &Path,
    lock: Option<&Lock>,
) -> Result<(Policy, &'static str), (String, &'static str)> {
    let loaded = match lock.map(|lock| lock.get(name)) {
        None => sandbox
            .load_file(file)
            .await
            .map(|policy| (policy, "not locked: run `keyrelay lock`")),
        Some(None) => {
            return Err((
                format!("{LOCK_FILE} does not name it, so it does not run"),
                "review it, then run `keyrelay lock`",
            ));
        }
        Some(Some(locked)) => sandbox.check_locked(file, *locked).await.and_then(checked),
    };
    loaded.map_err(|error| {
        let fix = "replace the file: `keyrelay inspect` shows more; if the change was meant, run `keyrelay lock`";
        (format!("quarantined: {}", out::chain(&error)), fix)
    })
}

/// The policy, and whether it is locked. A precompiled form that would be foreign code in
/// keyrelay-host is an error.
fn checked(checked: Checked) -> Result<(Policy, &'static str), LoadError> {
    match checked {
        Checked {
            not_used: Some(reason @ NotUsed::Foreign),
            ..
        } => Err(LoadError::Precompiled(reason)),
        Checked {
            policy,
            is_precompiled: true,
            ..
        } => Ok((policy, "locked, precompiled")),
        Checked { policy, .. } => Ok((policy, "locked")),
    }
}

/// The lock that applies, if any. An error has its message and the fix.
fn lock(folder: &Path, config: Option<&Config>) -> Result<Option<Lock>, (String, &'static str)> {
    let (locked, trusted_keys) = match config {
        Some(config) => (config.locked, config.trusted_keys.as_slice()),
        None => (None, &[][..]),
    };
    Lock::that_applies(folder, locked, trusted_keys).map_err(|error| {
        let fix = match error {
            LockError::NotTrusted { .. } => {
                "review the policies and sign the lock: keyrelay-host does not start without"
            }
            _ => "write it again with `keyrelay lock`: keyrelay-host does not start without",
        };
        (out::chain(&error), fix)
    })
}

fn mode(config: &Config, findings: &mut Findings) {
    match config.mode {
        Mode::Enforce => findings.good("mode", "enforce: apps are changed"),
        Mode::Monitor => findings.good(
            "mode",
            "monitor: everything is decided and recorded, and nothing is changed",
        ),
        Mode::Off => findings.bad(
            "mode",
            "off: the kill switch is on, and no event is handled",
            "set KEYRELAY_MODE to `enforce`",
        ),
    }
}

/// Checks the policy and the parameters of each rotation.
async fn rules(config: &Config, loaded: &[Policy], findings: &mut Findings) {
    for (index, rule) in config.rules.iter().enumerate() {
        let what = format!("rotation[{index}]");
        let Some(name) = &rule.policy else { continue };
        let Some(policy) = loaded.iter().find(|policy| policy.name() == name.as_str()) else {
            let fix =
                format!("put {name}.wasm into policies/, or correct `policy` in keyrelay.toml");
            findings.bad(
                &what,
                format!("its policy {name} is not there, or quarantined"),
                fix,
            );
            continue;
        };
        match policy
            .check_parameters(&rule.parameters, &PolicyLimits::default())
            .await
        {
            Ok(()) => findings.good(&what, format!("{name} takes its parameters")),
            Err(error) => findings.bad(
                &what,
                out::chain(&error),
                "correct `parameters` in keyrelay.toml",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits_are_read_as_the_functions_host_reads_them() {
        assert_eq!(duration("00:05:00"), Some(Duration::from_secs(300)));
        assert_eq!(duration("1.00:00:30"), Some(Duration::from_secs(86_430)));
        assert_eq!(duration("5"), None);
        assert_eq!(duration("-1"), None);
    }
}
