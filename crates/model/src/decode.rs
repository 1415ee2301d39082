//! Decodes [`Event`]s from JSON: both schemas, in every form of real events.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};
use serde_json::{Map, Value};

use crate::app_change::{AppChange, RESOURCE_WRITTEN};
use crate::bounded_json::{JsonError, bounded_json};
use crate::event::{
    Event, EventError, EventErrorReason, MAX_EVENTS, ObjectKind, Occurrence, TYPE_PREFIX,
};
use crate::names::{SecretName, SecretVersion, VaultHost};

/// The number of times that a JSON text may be wrapped in a JSON string. The Functions host wraps
/// plain strings once more than it should. No known sender nests deeper.
const MAX_WRAPPING: usize = 3;

/// The length of the longest event id that is accepted, in bytes. Event Grid's ids are GUIDs of 36
/// characters.
const MAX_ID_LENGTH: usize = 256;

/// Decodes the value of an Event Grid trigger: an event, an array of events, or a string that
/// contains either.
///
/// Each event is decoded independently: one invalid event is one error in the list. The list is
/// never empty. More than [`MAX_EVENTS`] are one error, and none of them is decoded.
///
/// `arrived` is the time of an event that does not tell its own: CloudEvents need none.
pub fn decode_events(value: &Value, arrived: Timestamp) -> Vec<Result<Event, EventError>> {
    decode_wrapped(value, arrived, MAX_WRAPPING)
}

fn decode_wrapped(
    value: &Value,
    arrived: Timestamp,
    wrapping_left: usize,
) -> Vec<Result<Event, EventError>> {
    match value {
        Value::Array(events) if events.is_empty() => vec![not_an_event("an empty array")],
        Value::Array(events) if events.len() > MAX_EVENTS => vec![too_many()],
        Value::Array(events) => events
            .iter()
            .map(|event| decode_element(event, arrived, wrapping_left))
            .collect(),
        Value::String(text) if wrapping_left > 0 => match bounded_json(text.as_bytes()) {
            Ok(inner) => decode_wrapped(&inner, arrived, wrapping_left - 1),
            Err(JsonError::TooManyValues) => vec![too_many()],
            Err(JsonError::Syntax { .. }) => vec![not_an_event("a text that is not JSON")],
        },
        other => vec![decode_object(other, arrived)],
    }
}

/// Decodes an element of an array: an event, or a string that contains one.
fn decode_element(
    value: &Value,
    arrived: Timestamp,
    wrapping_left: usize,
) -> Result<Event, EventError> {
    match value {
        Value::String(text) if wrapping_left > 0 => match bounded_json(text.as_bytes()) {
            Ok(inner) => decode_element(&inner, arrived, wrapping_left - 1),
            Err(JsonError::TooManyValues) => too_many(),
            Err(JsonError::Syntax { .. }) => not_an_event("a text that is not JSON"),
        },
        other => decode_object(other, arrived),
    }
}

fn not_an_event(got: &str) -> Result<Event, EventError> {
    Err(EventError {
        id: None,
        reason: EventErrorReason::NotAnEvent(got.to_owned()),
    })
}

fn too_many() -> Result<Event, EventError> {
    Err(EventError {
        id: None,
        reason: EventErrorReason::TooMany,
    })
}

fn decode_object(value: &Value, arrived: Timestamp) -> Result<Event, EventError> {
    let envelope = match value {
        Value::Object(object) => JsonFields(object),
        Value::Null => return not_an_event("null"),
        Value::Bool(_) => return not_an_event("a boolean"),
        Value::Number(_) => return not_an_event("a number"),
        Value::String(_) => return not_an_event("a text wrapped too often"),
        Value::Array(_) => return not_an_event("an array within an array"),
    };
    decode_envelope(&envelope, arrived).map_err(|reason| EventError {
        id: envelope.text("id").map(shortened),
        reason,
    })
}

fn decode_envelope(
    envelope: &JsonFields<'_>,
    arrived: Timestamp,
) -> Result<Event, EventErrorReason> {
    // The Event Grid schema's name first, then the one of CloudEvents.
    let either = |event_grid, cloud_events| {
        envelope
            .text(event_grid)
            .or_else(|| envelope.text(cloud_events))
    };
    let event_type = either("eventType", "type").ok_or(EventErrorReason::Missing("eventType"))?;
    if event_type.eq_ignore_ascii_case(RESOURCE_WRITTEN) {
        return Err(EventErrorReason::ResourceWritten(parse_change(envelope)));
    }
    let (kind, occurrence) = parse_type(event_type)?;
    let id = envelope.text("id").ok_or(EventErrorReason::Missing("id"))?;
    if id.len() > MAX_ID_LENGTH {
        return Err(EventErrorReason::Invalid {
            field: "id",
            expected: "an id of at most 256 bytes",
        });
    }
    let data = match envelope.get("data") {
        Some(Value::Object(data)) => JsonFields(data),
        Some(_) => {
            return Err(EventErrorReason::Invalid {
                field: "data",
                expected: "an object",
            });
        }
        None => return Err(EventErrorReason::Missing("data")),
    };
    let object = data
        .text("Id")
        .ok_or(EventErrorReason::Missing("data.Id"))?;
    let object = ObjectId::parse(object)?;
    object.check_against(kind, &data, either("topic", "source"))?;
    let version = match object.version {
        Some(version) => Some(version),
        None => parse_version(&data)?,
    };
    let announced = parse_event_time(envelope)?;
    let is_cloud_event = envelope.text("specversion").is_some();
    if announced.is_none() && !is_cloud_event && version.is_none() {
        return Err(EventErrorReason::Missing("eventTime"));
    }
    let (time, nanoseconds) = announced
        .or_else(|| since_1970(arrived))
        .unwrap_or_default();
    Ok(Event {
        id: id.to_owned(),
        vault_host: object.vault_host,
        kind,
        name: object.name,
        occurrence,
        version,
        time,
        nanoseconds,
        is_time_of_arrival: announced.is_none(),
        not_before: parse_seconds(&data, "NBF", "data.NBF")?,
        expires: parse_seconds(&data, "EXP", "data.EXP")?,
    })
}

/// The app that was written: its id, or that of a part of it, is the subject and the resource of the
/// event.
fn parse_change(envelope: &JsonFields<'_>) -> Option<AppChange> {
    let data = envelope.get("data").and_then(Value::as_object);
    let resource = data.and_then(|data| JsonFields(data).text("resourceUri"));
    let ids = [envelope.text("subject"), resource];
    ids.into_iter().flatten().find_map(AppChange::of_resource)
}

fn parse_type(event_type: &str) -> Result<(ObjectKind, Occurrence), EventErrorReason> {
    // An index would panic if the text is shorter or has a character across the boundary.
    let ours = event_type
        .get(..TYPE_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(TYPE_PREFIX));
    if !ours {
        return Err(EventErrorReason::OfAnotherSource(shortened(event_type)));
    }
    let wanted = event_type.get(TYPE_PREFIX.len()..).unwrap_or_default();
    for kind in ObjectKind::ALL {
        for occurrence in Occurrence::OF_KEY_VAULT {
            if wanted.eq_ignore_ascii_case(&format!("{kind}{occurrence}")) {
                return Ok((kind, occurrence));
            }
        }
    }
    Err(EventErrorReason::NotHandled(shortened(event_type)))
}

/// The URL of an object in a vault, from `data.Id`. No other field names the vault's host.
struct ObjectId {
    vault_host: VaultHost,
    kind: ObjectKind,
    name: SecretName,
    version: Option<SecretVersion>,
}

impl ObjectId {
    fn parse(text: &str) -> Result<Self, EventErrorReason> {
        const INVALID: EventErrorReason = EventErrorReason::Invalid {
            field: "data.Id",
            expected: "an id like `https://contoso-kv.vault.azure.net/secrets/name/version`",
        };
        let (scheme, rest) = text.split_once("://").ok_or(INVALID)?;
        let mut parts = rest.split('/');
        let host = parts.next().unwrap_or_default();
        let host = host.strip_suffix(":443").unwrap_or(host);
        let collection = parts.next().ok_or(INVALID)?;
        let name = parts.next().ok_or(INVALID)?;
        let version = parts.next().filter(|version| !version.is_empty());
        let nothing_more = parts.all(str::is_empty);
        let kind = ObjectKind::ALL
            .into_iter()
            .find(|kind| collection.eq_ignore_ascii_case(kind.collection()));
        match kind {
            Some(kind) if scheme.eq_ignore_ascii_case("https") && nothing_more => Ok(Self {
                vault_host: host.parse().map_err(|_| INVALID)?,
                kind,
                name: name.parse().map_err(|_| INVALID)?,
                version: version.map(str::parse).transpose().map_err(|_| INVALID)?,
            }),
            _ => Err(INVALID),
        }
    }

    /// Refuses an event whose other fields name another object. Such an event is forged or corrupt,
    /// and either half could be the wrong one. `VaultName` is not compared, because real events
    /// spell it differently from the host in the id.
    fn check_against(
        &self,
        kind: ObjectKind,
        data: &JsonFields<'_>,
        topic: Option<&str>,
    ) -> Result<(), EventErrorReason> {
        let contradiction = |field, says: &str, id_says: &str| {
            let (says, id_says) = (shortened(says), shortened(id_says));
            Err(EventErrorReason::Contradiction {
                field,
                says,
                id_says,
            })
        };
        if self.kind != kind {
            return contradiction("eventType", kind.as_str(), self.kind.as_str());
        }
        if let Some(vault) = topic.and_then(vault_of_topic)
            && !vault.eq_ignore_ascii_case(self.vault_host.vault())
        {
            return contradiction("topic", vault, self.vault_host.vault());
        }
        if let Some(vault) = data.text("VaultName")
            && !vault.eq_ignore_ascii_case(self.vault_host.vault())
        {
            return contradiction("data.VaultName", vault, self.vault_host.vault());
        }
        if let Some(name) = data.text("ObjectName")
            && !name.eq_ignore_ascii_case(self.name.as_str())
        {
            return contradiction("data.ObjectName", name, self.name.as_str());
        }
        if let (Some(version), Some(id_version)) = (data.text("Version"), &self.version)
            && !version.eq_ignore_ascii_case(id_version.as_str())
        {
            return contradiction("data.Version", version, id_version.as_str());
        }
        Ok(())
    }
}

fn parse_version(data: &JsonFields<'_>) -> Result<Option<SecretVersion>, EventErrorReason> {
    let invalid = EventErrorReason::Invalid {
        field: "data.Version",
        expected: "a version",
    };
    data.text("Version")
        .map(str::parse)
        .transpose()
        .map_err(|_| invalid)
}

/// The vault in a topic like `/subscriptions/.../providers/Microsoft.KeyVault/vaults/contoso-kv`.
/// `None` for topics that are not vaults: custom topics, domains, test senders.
fn vault_of_topic(topic: &str) -> Option<&str> {
    let mut parts = topic.split('/').rev().skip_while(|part| part.is_empty());
    let vault = parts.next()?;
    let (vaults, provider) = (parts.next()?, parts.next()?);
    (vaults.eq_ignore_ascii_case("vaults") && provider.eq_ignore_ascii_case("Microsoft.KeyVault"))
        .then_some(vault)
}

/// The time of the event: seconds since 1970, and the nanoseconds after them. `None` if it does not
/// tell.
fn parse_event_time(envelope: &JsonFields<'_>) -> Result<Option<(u64, u32)>, EventErrorReason> {
    let invalid = EventErrorReason::Invalid {
        field: "eventTime",
        expected: "a time",
    };
    let mut fields = ["eventTime", "time"].into_iter();
    match fields.find_map(|name| envelope.get(name).filter(|value| !value.is_null())) {
        None => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => parse_time(text.trim()).map(Some).ok_or(invalid),
        Some(_) => Err(invalid),
    }
}

/// Parses a time. Azure sends RFC 3339. Older Functions extensions rewrite it without an offset, or
/// as `07/25/2019 01:08:33`; both are UTC. Returns `None` before 1970.
fn parse_time(text: &str) -> Option<(u64, u32)> {
    let utc = |time: DateTime| {
        time.to_zoned(TimeZone::UTC)
            .ok()
            .map(|time| time.timestamp())
    };
    let timestamp = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<DateTime>().ok().and_then(utc))
        .or_else(|| {
            strtime::parse("%m/%d/%Y %H:%M:%S", text)
                .ok()?
                .to_datetime()
                .ok()
                .and_then(utc)
        })?;
    since_1970(timestamp)
}

/// The seconds since 1970, and the nanoseconds after them. Returns `None` before 1970.
fn since_1970(timestamp: Timestamp) -> Option<(u64, u32)> {
    Some((
        u64::try_from(timestamp.as_second()).ok()?,
        u32::try_from(timestamp.subsec_nanosecond()).ok()?,
    ))
}

/// Parses seconds since 1970: a number, a text that contains one, or nothing (absent, null, empty).
fn parse_seconds(
    data: &JsonFields<'_>,
    name: &str,
    field: &'static str,
) -> Result<Option<u64>, EventErrorReason> {
    let invalid = EventErrorReason::Invalid {
        field,
        expected: "a number of seconds since 1970",
    };
    match data.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| invalid),
        Some(Value::Number(number)) => number.as_u64().map(Some).ok_or(invalid),
        Some(_) => Err(invalid),
    }
}

/// An object whose keys are looked up without case and surrounding spaces. Real events need both
/// (`"ObjectName "`).
struct JsonFields<'a>(&'a Map<String, Value>);

impl<'a> JsonFields<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        let loosely = || {
            self.0
                .iter()
                .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        self.0.get(name).or_else(loosely)
    }

    /// A text without surrounding spaces. `None` if it is empty or not a text.
    fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name)
            .and_then(Value::as_str)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }
}

/// Truncates a text from outside to a length that fits into a message.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
