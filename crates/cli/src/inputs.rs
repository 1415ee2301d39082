//! The inputs of `keyrelay run`: an event, and an app's settings.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::{fs, io};

use anyhow::{Context, anyhow, bail, ensure};
use keyrelay_model::{Event, Occurrence, Settings, decode_events};
use serde_json::{Map, Value};

use crate::case::settings_of;

/// The file name that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// The type of keyrelay's own event, and a type of Key Vault with the same content.
const REMINDER: (&str, &str) = (
    "keyrelay.SecretExpiryReminder",
    "Microsoft.KeyVault.SecretNearExpiry",
);

/// The one event in a file, in either schema.
pub(crate) fn event(file: &Path) -> anyhow::Result<Event> {
    let mut value = read_json(file)?;
    let is_reminder = take_reminder(&mut value);
    let events = decode_events(&value, jiff::Timestamp::now());
    let name = file.display();
    let [event] = events.as_slice() else {
        bail!("{name} has {} events: one is decided about", events.len())
    };
    let mut event = event.clone().map_err(|error| anyhow!("{name}: {error}"))?;
    if is_reminder {
        event.occurrence = Occurrence::ExpiryReminder;
    }
    Ok(event)
}

/// Replaces the type of keyrelay's own event, and returns whether it was one.
///
/// The decoder refuses such an event, because it never arrives from outside. Here it tests a
/// policy.
fn take_reminder(value: &mut Value) -> bool {
    let event = match value {
        Value::Array(events) => events.first_mut(),
        event => Some(event),
    };
    let Some(Value::Object(event)) = event else {
        return false;
    };
    for field in ["eventType", "type"] {
        if let Some(event_type) = event
            .get_mut(field)
            .filter(|event_type| **event_type == REMINDER.0)
        {
            *event_type = REMINDER.1.into();
            return true;
        }
    }
    false
}

/// The settings in a file: an object of names and values, the `properties` of Resource Manager's
/// response, or the list that the Azure CLI prints.
pub(crate) fn settings(file: &Path) -> anyhow::Result<Settings> {
    pairs(read_json(file)?)
        .and_then(settings_of)
        .with_context(|| {
            format!(
                "{}: expected an object of names and values, or a list of `name` and `value`",
                file.display()
            )
        })
}

fn pairs(value: Value) -> anyhow::Result<Vec<(String, String)>> {
    match value {
        Value::Object(mut response) if response.get("properties").is_some_and(Value::is_object) => {
            pairs(response.remove("properties").unwrap_or_default())
        }
        Value::Object(settings) => settings
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(value) => Ok((name, value)),
                other => bail!("the value of `{name}` is {}, and not a text", kind(&other)),
            })
            .collect(),
        Value::Array(settings) => {
            let settings: Vec<_> = settings
                .iter()
                .enumerate()
                .map(element)
                .collect::<anyhow::Result<_>>()?;
            let mut names = BTreeSet::new();
            let twice = settings
                .iter()
                .find(|(name, _)| !names.insert(name.as_str()));
            ensure!(
                twice.is_none(),
                "`{}` is there twice",
                twice.map_or("", |(name, _)| name)
            );
            Ok(settings)
        }
        other => bail!("it is {}", kind(&other)),
    }
}

fn element((index, element): (usize, &Value)) -> anyhow::Result<(String, String)> {
    let none = Map::new();
    let element = element.as_object().unwrap_or(&none);
    let field = |name: &str| {
        let text = element.get(name).and_then(Value::as_str);
        text.map(str::to_owned)
            .with_context(|| format!("number {} of the list has no text `{name}`", index + 1))
    };
    Ok((field("name")?, field("value")?))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn read_json(file: &Path) -> anyhow::Result<Value> {
    let text = if file == Path::new(STANDARD_INPUT) {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    // PowerShell writes a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    serde_json::from_str(text).with_context(|| format!("{} is not JSON", file.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[track_caller]
    fn names(text: &str) -> Vec<String> {
        let settings = settings(file(text).path()).unwrap();
        settings.iter().map(|(name, _)| name.to_string()).collect()
    }

    #[track_caller]
    fn refused(text: &str, reason: &str) {
        let error = format!("{:#}", settings(file(text).path()).unwrap_err());
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn settings_come_in_each_form_that_azure_prints() {
        assert_eq!(names(r#"{"A":"1","B":"2"}"#), ["A", "B"]);
        assert_eq!(names("\u{feff}{\"A\":\"1\"}"), ["A"]);
        assert_eq!(names(r#"{"id":"/x","properties":{"A":"1"}}"#), ["A"]);
        assert_eq!(
            names(r#"[{"name":"A","slotSetting":false,"value":"1"}]"#),
            ["A"]
        );
        assert_eq!(names("[]"), [] as [&str; 0]);
        assert_eq!(
            names(r#"{"properties":"a setting of that name"}"#),
            ["properties"]
        );
    }

    #[test]
    fn a_mistake_in_the_settings_is_named() {
        refused(r#"{"A":1}"#, "the value of `A` is a number");
        refused(
            r#"[{"name":"A","value":"1"},{"name":"B"}]"#,
            "number 2 of the list has no text `value`",
        );
        refused(
            r#"[{"name":"A","value":"1"},{"name":"A","value":"2"}]"#,
            "`A` is there twice",
        );
        refused("\"A\"", "it is a text");
        refused("", "is not JSON");
    }

    #[test]
    fn the_reminder_is_an_event_here() {
        let event = json!({
            "id": "1", "topic": "/t", "subject": "sql", "eventType": REMINDER.0, "eventTime": "2026-03-01T10:20:30Z",
            "dataVersion": "1", "data": {
                "Id": "https://contoso-kv.vault.azure.net/secrets/sql/1", "VaultName": "contoso-kv",
                "ObjectType": "Secret", "ObjectName": "sql", "Version": "1", "NBF": null, "EXP": 1_772_446_830,
            },
        });
        for text in [event.to_string(), json!([event]).to_string()] {
            let event = super::event(file(&text).path()).unwrap();
            assert_eq!(event.event_type(), REMINDER.0);
        }
    }
}
