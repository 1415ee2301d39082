//! A test case: an event, an app and the expected decision of a policy. One file each.

pub(crate) mod event;
pub(crate) mod expect;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use keyrelay_config::Config;
use keyrelay_model::{AppId, Event, SettingName, SettingValue, Settings};
use keyrelay_sandbox::{EvaluationInputs, PolicyLimits};
use serde::Deserialize;

use event::EventTable;
use expect::Expect;

/// A case, as its file has it.
#[derive(Debug)]
pub(crate) struct Case {
    /// The file's name, without `.toml`.
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) inputs: EvaluationInputs,
    /// The expected outcome. None: the file has no expectation yet.
    pub(crate) expect: Option<Expect>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    event: EventTable,
    #[serde(default)]
    app: AppTable,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    #[serde(default)]
    parameters: toml::Table,
    #[serde(default)]
    grant: toml::Table,
    #[serde(default)]
    limits: toml::Table,
    expect: Option<Expect>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AppTable {
    name: String,
    slot: Option<String>,
}

impl Default for AppTable {
    fn default() -> Self {
        Self {
            name: "orders".to_owned(),
            slot: None,
        }
    }
}

impl Case {
    /// Reads a case from its file.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let name = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let (inputs, expect) =
            parse(&text).with_context(|| format!("{} is no case", file.display()))?;
        Ok(Self {
            name,
            file: file.to_owned(),
            inputs,
            expect,
        })
    }
}

/// The cases of a folder, or the one in a file, by name.
pub(crate) fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    ensure!(path.exists(), "there are no cases in {}", path.display());
    let entries = fs::read_dir(path)
        .with_context(|| format!("cannot read the cases in {}", path.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry
            .with_context(|| format!("cannot read the cases in {}", path.display()))?
            .path();
        if file
            .extension()
            .is_some_and(|extension| extension == "toml")
            && file.is_file()
        {
            files.push(file);
        }
    }
    files.sort();
    ensure!(
        !files.is_empty(),
        "there is no case in {}: a case is a file `*.toml`",
        path.display()
    );
    Ok(files)
}

fn parse(text: &str) -> anyhow::Result<(EvaluationInputs, Option<Expect>)> {
    let content: Content = toml::from_str(text)?;
    let Content {
        event,
        app,
        settings,
        parameters,
        grant,
        limits,
        expect,
    } = content;
    let event = event.event()?;
    let slot = app
        .slot
        .map(|slot| format!("/slots/{slot}"))
        .unwrap_or_default();
    let id = format!(
        "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.Web/sites/{}{slot}",
        app.name
    );
    let app: AppId = id.parse().map_err(|error| anyhow!("app: {error}"))?;
    let tables = [
        ("parameters", parameters),
        ("grant", grant),
        ("limits", limits),
    ];
    let config = configuration(&event, tables)?;
    let rule = config.rules.first().context("the rule is gone")?;
    let inputs = EvaluationInputs {
        event,
        app,
        settings: settings_of(settings)?,
        parameters: rule.parameters.clone(),
        grant: rule.grant.clone(),
        limits: PolicyLimits::with(rule.limits.time, rule.limits.memory),
        vault_suffix: config.cloud.vault_suffix,
    };
    if let Some(expect) = &expect {
        expect.check()?;
    }
    Ok((inputs, expect))
}

/// The configuration with one rule, for the event's secret and with these tables. It is read as
/// `keyrelay.toml` is, so that the syntax and the errors are the same.
fn configuration(event: &Event, tables: [(&str, toml::Table); 3]) -> anyhow::Result<Config> {
    let mut rule = toml::Table::new();
    rule.insert("secret".into(), event.name.as_str().into());
    rule.insert("vault".into(), event.vault_host.vault().into());
    for (key, table) in tables {
        if !table.is_empty() {
            rule.insert(key.into(), table.into());
        }
    }
    let mut configuration = toml::Table::new();
    configuration.insert("rotation".into(), vec![toml::Value::Table(rule)].into());
    Config::read(&configuration.to_string(), &BTreeMap::new()).map_err(|problems| {
        let problems: Vec<String> = problems
            .iter()
            .map(|problem| {
                problem
                    .to_string()
                    .replace("keyrelay.toml: rotation[0].", "")
            })
            .collect();
        anyhow!("{}", problems.join("; "))
    })
}

/// Settings from pairs of name and value.
pub(crate) fn settings_of(
    settings: impl IntoIterator<Item = (String, String)>,
) -> anyhow::Result<Settings> {
    let setting = |(name, value): (String, String)| {
        let name: SettingName = name.parse().map_err(|error| anyhow!("settings: {error}"))?;
        Ok((name, SettingValue::new(value)))
    };
    settings.into_iter().map(setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "[event]\nsecret = \"sql\"\n";

    #[track_caller]
    fn check(more: &str, reason: &str) {
        let error = format!("{:#}", parse(&format!("{EVENT}{more}")).unwrap_err());
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn only_the_secret_has_to_be_named() {
        let (inputs, expect) = parse(EVENT).unwrap();
        assert_eq!(
            inputs.event.event_type(),
            "Microsoft.KeyVault.SecretNewVersionCreated"
        );
        assert_eq!((inputs.app.site(), inputs.app.slot()), ("orders", None));
        assert!(inputs.settings.is_empty() && expect.is_none());
    }

    #[test]
    fn mistakes_are_named() {
        check("[setting]\nA = \"1\"\n", "unknown field `setting`");
        check("[settings]\n\"\" = \"1\"\n", "settings");
        check("[grant]\nsets = [\"A\"]\n", "grant.sets");
        check("[expect]\ndecision = \"maybe\"\n", "maybe");
        check(
            "[expect]\ndecision = \"refresh\"\nmessage = \"m\"\n",
            "message",
        );
        let error = parse("[event]\nsecret = \"no secret\"\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("event.secret"), "{error}");
    }
}
