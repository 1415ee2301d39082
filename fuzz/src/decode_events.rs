//! The decoding of events, in both schemas.

use arbitrary::{Arbitrary as _, Unstructured};
use jiff::Timestamp;
use keyrelay_model::{
    Event, EventError, MAX_EVENTS, ObjectKind, Occurrence, bounded_json, decode_events,
};
use serde_json::{Map, Value, json};

use crate::made_of_bytes::{enum_of_bytes, struct_of_bytes};

/// The first byte of an input that is the text of an event. Other inputs describe one.
const TEXT: u8 = b'{';

/// Decodes a text, or an event that is made of agreeing and contradicting fields.
pub fn run(data: &[u8]) {
    if data
        .first()
        .is_some_and(|it| matches!(*it, TEXT | b'[' | b'"'))
    {
        if let Ok(value) = bounded_json(data) {
            check(&value);
        }
    } else if let Ok(made) = Made::arbitrary_take_rest(Unstructured::new(data)) {
        let events = check(&made.json());
        if let [Ok(event)] = events.as_slice() {
            made.check_agrees(event);
        }
    }
}

fn decode(value: &Value) -> Vec<Result<Event, EventError>> {
    decode_events(value, Timestamp::UNIX_EPOCH)
}

/// Decodes a value, and checks what holds for every one. The same value in a JSON string, or in an
/// array, gives the same events.
fn check(value: &Value) -> Vec<Result<Event, EventError>> {
    let events = decode(value);
    assert!(!events.is_empty() && events.len() <= MAX_EVENTS);
    for event in events.iter().flatten() {
        assert!(!event.id.is_empty(), "an event without an id");
        assert_ne!(event.occurrence, Occurrence::ExpiryReminder);
        assert!(event.event_type().starts_with("Microsoft.KeyVault."));
        assert!(event.nanoseconds < 1_000_000_000);
    }
    if value.is_object() {
        let text = Value::String(value.to_string());
        for wrapped in [json!([value]), json!([text]), text] {
            assert_eq!(decode(&wrapped), events, "{wrapped}");
        }
    }
    events
}

struct_of_bytes! {
    /// An event with fields that a sender chooses one by one. Each says something about the vault, the
    /// object or the version, or is absent.
    #[derive(Debug)]
    struct Made {
        is_cloud_event: bool,
        kind: u8,
        occurrence: u8,
        id_vault: Name,
        id_name: Name,
        id_version: Option<Name>,
        topic_vault: Option<Name>,
        vault_name: Option<Name>,
        object_name: Option<Name>,
        object_type: Option<u8>,
        version: Option<Name>,
        subject: Option<Name>,
        time: Option<Text>,
        not_before: Option<Number>,
        expires: Option<Number>,
        id: Option<Text>,
    }
}

enum_of_bytes! {
    /// One of few names, so that fields often agree.
    #[derive(Debug, Clone, Copy)]
    enum Name {
        Alpha,
        AlphaUpper,
        Beta,
        Odd,
    }
}

impl Name {
    fn text(self) -> &'static str {
        match self {
            Self::Alpha => "alpha",
            Self::AlphaUpper => "ALPHA",
            Self::Beta => "beta1",
            Self::Odd => "odd!",
        }
    }
}

enum_of_bytes! {
    #[derive(Debug)]
    enum Text {
        Now,
        Old,
        Any(String),
    }
}

impl Text {
    fn text(&self) -> &str {
        match self {
            Self::Now => "2026-03-01T10:20:30.1234567Z",
            Self::Old => "1601-01-01T00:00:00Z",
            Self::Any(text) => text,
        }
    }
}

enum_of_bytes! {
    #[derive(Debug)]
    enum Number {
        Null,
        Integer(i64),
        Float(f64),
        Text(String),
    }
}

impl Number {
    fn json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => json!(number),
            Self::Float(number) => json!(number),
            Self::Text(text) => json!(text),
        }
    }
}

fn kind(index: u8) -> ObjectKind {
    let index = usize::from(index) % ObjectKind::ALL.len();
    ObjectKind::ALL.get(index).copied().expect("in bounds")
}

impl Made {
    fn object_id(&self) -> String {
        let (vault, name) = (self.id_vault.text(), self.id_name.text());
        let collection = kind(self.kind).collection();
        let version = self.id_version.map(|it| format!("/{}", it.text()));
        format!(
            "https://{vault}.vault.azure.net/{collection}/{name}{}",
            version.unwrap_or_default()
        )
    }

    fn json(&self) -> Value {
        let mut data = Map::from_iter([("Id".to_owned(), json!(self.object_id()))]);
        let mut add = |key: &str, value: Option<Value>| {
            data.extend(value.map(|value| (key.to_owned(), value)));
        };
        add("VaultName", self.vault_name.map(|it| json!(it.text())));
        add("ObjectName", self.object_name.map(|it| json!(it.text())));
        add(
            "ObjectType",
            self.object_type.map(|it| json!(kind(it).as_str())),
        );
        add("Version", self.version.map(|it| json!(it.text())));
        add("NBF", self.not_before.as_ref().map(Number::json));
        add("EXP", self.expires.as_ref().map(Number::json));
        let occurrences = Occurrence::OF_KEY_VAULT;
        let occurrence = occurrences
            .get(usize::from(self.occurrence) % occurrences.len())
            .expect("in bounds");
        let event_type = format!("Microsoft.KeyVault.{}{occurrence}", kind(self.kind));
        let (type_key, time_key, topic_key) = match self.is_cloud_event {
            true => ("type", "time", "source"),
            false => ("eventType", "eventTime", "topic"),
        };
        let mut event = Map::from_iter([
            (type_key.to_owned(), json!(event_type)),
            ("data".to_owned(), Value::Object(data)),
        ]);
        let mut add = |key: &str, value: Option<&str>| {
            event.extend(value.map(|value| (key.to_owned(), json!(value))));
        };
        add("id", self.id.as_ref().map(Text::text));
        add(time_key, self.time.as_ref().map(Text::text));
        let vaults = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults";
        let topic = self.topic_vault.map(|it| format!("{vaults}/{}", it.text()));
        add(topic_key, topic.as_deref());
        add("subject", self.subject.map(Name::text));
        add("specversion", self.is_cloud_event.then_some("1.0"));
        Value::Object(event)
    }

    /// Checks that nothing in the event says otherwise than what was decoded.
    fn check_agrees(&self, event: &Event) {
        let same = |text: Option<Name>, decoded: &str| {
            text.is_none_or(|it| it.text().eq_ignore_ascii_case(decoded))
        };
        let (vault, name) = (event.vault_host.vault(), event.name.as_str());
        assert!(same(Some(self.id_vault), vault) && same(self.topic_vault, vault));
        assert!(same(self.vault_name, vault), "`VaultName`");
        assert!(same(Some(self.id_name), name) && same(self.object_name, name));
        let version = event.version.as_ref().map_or("", |it| it.as_str());
        assert!(same(self.id_version, version), "the version of the id");
        assert!(
            self.id_version.is_none() || same(self.version, version),
            "the version of the data"
        );
        assert_eq!(event.kind, kind(self.kind));
        assert_eq!(event.vault_host.suffix(), "vault.azure.net");
    }
}
