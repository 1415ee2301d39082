//! A case: an event and an app, and what a rule should make of them. One file each, small enough to read.

pub(crate) mod event;
pub(crate) mod expect;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use keyrelay_host::config::Config;
use keyrelay_model::{AppId, SettingName, SettingValue, Settings};
use serde::Deserialize;

use crate::ask::Question;
use event::EventTable;
use expect::Expect;

/// A case, as it is in its file.
#[derive(Debug)]
pub(crate) struct Case {
    /// The file's name, without `.toml`.
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) question: Question,
    /// What should come out. None: nobody has said yet.
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
        let (question, expect) =
            parse(&text).with_context(|| format!("{} is no case", file.display()))?;
        Ok(Self {
            name,
            file: file.to_owned(),
            question,
            expect,
        })
    }
}

/// The cases of a folder, or the one in a file, by name.
pub(crate) fn files(place: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if place.is_file() {
        return Ok(vec![place.to_owned()]);
    }
    ensure!(place.exists(), "there are no cases in {}", place.display());
    let entries = fs::read_dir(place)
        .with_context(|| format!("cannot read the cases in {}", place.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry
            .with_context(|| format!("cannot read the cases in {}", place.display()))?
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
        place.display()
    );
    Ok(files)
}

fn parse(text: &str) -> anyhow::Result<(Question, Option<Expect>)> {
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
    // As in `keyrelay.toml`, read by whoever reads that, and with the same words for what is wrong.
    let mut rule = toml::Table::new();
    rule.insert("secret".into(), event.name.as_str().into());
    for (key, table) in [
        ("parameters", parameters),
        ("grant", grant),
        ("limits", limits),
    ] {
        if !table.is_empty() {
            rule.insert(key.into(), table.into());
        }
    }
    let mut configuration = toml::Table::new();
    configuration.insert("rotation".into(), vec![toml::Value::Table(rule)].into());
    let config =
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
        })?;
    let rule = config.rules.first().context("the rule is gone")?;
    let question = Question {
        event,
        app,
        settings: settings_of(settings)?,
        parameters: rule.parameters.clone(),
        grant: rule.grant.clone(),
        limits: keyrelay_host::relay::limits(Some(rule)),
        vault_suffix: config.cloud.vault_suffix,
    };
    if let Some(expect) = &expect {
        expect.check()?;
    }
    Ok((question, expect))
}

/// Settings by name and value.
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
        let (question, expect) = parse(EVENT).unwrap();
        assert_eq!(
            question.event.event_type(),
            "Microsoft.KeyVault.SecretNewVersionCreated"
        );
        assert_eq!((question.app.site(), question.app.slot()), ("orders", None));
        assert!(question.settings.is_empty() && expect.is_none());
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
