//! The event of a case, and the kinds of events.

use anyhow::anyhow;
use jiff::Timestamp;
use keyrelay_model::{Event, ObjectKind, Occurrence, VaultHost};
use serde::Deserialize;

/// The DNS suffix of vaults in the public cloud.
pub(crate) const VAULT_SUFFIX: &str = "vault.azure.net";

/// The table `[event]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventTable {
    #[serde(default = "kind")]
    kind: String,
    #[serde(default = "vault")]
    vault: String,
    secret: String,
    version: Option<String>,
    #[serde(default = "id")]
    id: String,
    #[serde(default = "time")]
    time: String,
    not_before: Option<String>,
    expires: Option<String>,
}

fn kind() -> String {
    "SecretNewVersionCreated".to_owned()
}

fn vault() -> String {
    "contoso-kv".to_owned()
}

fn id() -> String {
    "event-1".to_owned()
}

fn time() -> String {
    "2026-03-01T10:20:30Z".to_owned()
}

/// A kind of event: the kind of object, and the occurrence.
pub(crate) type Kind = (ObjectKind, Occurrence);

/// All kinds of events: those of Key Vault, and keyrelay's own.
pub(crate) fn kinds() -> impl Iterator<Item = Kind> {
    let of_key_vault = ObjectKind::ALL
        .into_iter()
        .flat_map(|object| Occurrence::OF_KEY_VAULT.map(|occurrence| (object, occurrence)));
    of_key_vault.chain([(ObjectKind::Secret, Occurrence::ExpiryReminder)])
}

/// The name of a kind: the last part of the event's type.
pub(crate) fn name((object, occurrence): Kind) -> String {
    format!("{object}{occurrence}")
}

/// The kind with this name. The text may also be the whole event type.
pub(crate) fn kind_of(text: &str) -> Result<Kind, String> {
    let short = text.rsplit('.').next().unwrap_or(text);
    kinds()
        .find(|kind| name(*kind).eq_ignore_ascii_case(short))
        .ok_or_else(|| {
            let known: Vec<String> = kinds().map(name).collect();
            format!(
                "`{text}` is no kind of event; there are {}",
                known.join(", ")
            )
        })
}

impl EventTable {
    pub(crate) fn event(self) -> anyhow::Result<Event> {
        let at = |key: &'static str| move |error: String| anyhow!("event.{key}: {error}");
        let (kind, occurrence) = kind_of(&self.kind).map_err(at("kind"))?;
        let vault_host = match self.vault.contains('.') {
            true => self.vault.parse(),
            false => VaultHost::from_name(&self.vault, VAULT_SUFFIX),
        };
        let seconds = |key: &'static str, text: &str| {
            let time: Timestamp = text
                .parse()
                .map_err(|_| anyhow!("event.{key}: write it like 2026-03-01T10:20:30Z"))?;
            u64::try_from(time.as_second()).map_err(|_| anyhow!("event.{key}: it is before 1970"))
        };
        let version = self.version.map(|version| version.parse()).transpose();
        Ok(Event {
            id: self.id,
            vault_host: vault_host.map_err(|error| at("vault")(error.to_string()))?,
            kind,
            name: self
                .secret
                .parse()
                .map_err(|error: keyrelay_model::NameError| at("secret")(error.to_string()))?,
            occurrence,
            version: version
                .map_err(|error: keyrelay_model::NameError| at("version")(error.to_string()))?,
            time: seconds("time", &self.time)?,
            nanoseconds: 0,
            is_time_of_arrival: false,
            not_before: self
                .not_before
                .map(|text| seconds("not_before", &text))
                .transpose()?,
            expires: self
                .expires
                .map(|text| seconds("expires", &text))
                .transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_a_short_name_and_a_long_one() {
        assert_eq!(kinds().count(), 10);
        for kind in kinds() {
            assert_eq!(kind_of(&name(kind)), Ok(kind));
            assert_eq!(
                kind_of(&format!("Microsoft.KeyVault.{}", name(kind))),
                Ok(kind)
            );
        }
        assert!(
            kind_of("SecretDeleted")
                .unwrap_err()
                .contains("SecretNearExpiry")
        );
    }
}
