//! Tests of plans, and their fixtures.

mod changes;
mod grants;
mod laws;
mod platform;

use super::*;
use crate::decision::NewValue;
use crate::event::{ObjectKind, Occurrence};
use crate::grant::GrantedSecret;
use crate::names::SecretVersion;
use crate::reference::Reference;

const SUFFIX: &str = "vault.azure.net";
const V1: &str = "0c7751761b5a4ca09f3deec5fba4af83";
const V2: &str = "ee059b2bb5bc48398a53b168c6cdcb10";
const PLAIN: &str = "planted-plain-text";

fn event() -> Event {
    Event {
        id: "e-1".to_owned(),
        vault_host: "kv.vault.azure.net".parse().unwrap(),
        kind: ObjectKind::Secret,
        name: "sql".parse().unwrap(),
        occurrence: Occurrence::NewVersionCreated,
        version: Some(V2.parse().unwrap()),
        time: 0,
        nanoseconds: 0,
        is_time_of_arrival: false,
        not_before: None,
        expires: None,
    }
}

fn name(text: &str) -> SettingName {
    text.parse().unwrap()
}

fn reference(vault: &str, secret: &str, version: Option<&str>) -> String {
    let version: Option<SecretVersion> = version.map(|version| version.parse().unwrap());
    let vault_host = format!("{vault}.vault.azure.net").parse().unwrap();
    Reference::to(Target {
        vault_host,
        secret: secret.parse().unwrap(),
        version,
    })
    .to_string()
}

/// An app with a reference to the event's secret, pinned and not, one to another secret, plain text
/// and a protected name.
fn settings() -> Settings {
    [
        ("SQL", reference("kv", "sql", Some(V1))),
        ("SQL_NEWEST", reference("kv", "SQL", None)),
        ("OTHER", reference("kv", "other", None)),
        ("USER", PLAIN.to_owned()),
        ("AzureWebJobsStorage", PLAIN.to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| (name(key), SettingValue::new(value)))
    .collect()
}

fn to(vault: &str, secret: &str, version: Option<&str>) -> NewValue {
    let text = reference(vault, secret, version);
    NewValue::Reference(Reference::parse(&text, SUFFIX).unwrap().target().clone())
}

fn text() -> NewValue {
    NewValue::Text(SettingValue::new("new-planted-plain-text"))
}

fn set(values: &[(&str, NewValue)]) -> Patch {
    Patch {
        set: values
            .iter()
            .map(|(key, value)| (name(key), value.clone()))
            .collect(),
        remove: Vec::new(),
    }
}

fn remove(names: &[&str]) -> Patch {
    Patch {
        set: Vec::new(),
        remove: names.iter().map(|key| name(key)).collect(),
    }
}

fn grant(set: &[&str], remove: &[&str], secrets: &[&str], text: bool) -> Grant {
    Grant {
        set: set.iter().map(|pattern| pattern.parse().unwrap()).collect(),
        remove: remove
            .iter()
            .map(|pattern| pattern.parse().unwrap())
            .collect(),
        secrets: secrets
            .iter()
            .map(|secret| {
                let (vault, secret) = secret.split_once('/').unwrap();
                GrantedSecret::new(vault, secret.parse().unwrap()).unwrap()
            })
            .collect(),
        text,
        ..Grant::default()
    }
}
