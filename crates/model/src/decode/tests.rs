use serde_json::json;

use super::*;

const VERSION: &str = "0c7751761b5a4ca09f3deec5fba4af83";

fn sample() -> Value {
    json!({
        "id": "e-1",
        "topic": "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/contoso-kv",
        "subject": "sql-password",
        "eventType": "Microsoft.KeyVault.SecretNewVersionCreated",
        "eventTime": "2026-03-01T10:20:30.1234567Z",
        "data": {
            "Id": format!("https://contoso-kv.vault.azure.net/secrets/sql-password/{VERSION}"),
            "VaultName": "contoso-kv",
            "ObjectType": "Secret",
            "ObjectName": "sql-password",
            "Version": VERSION,
            "NBF": null,
            "EXP": null,
        },
    })
}

/// The sample with one field replaced, which a JSON pointer names. `null` stands for an absent
/// field.
fn sample_with(pointer: &str, value: Value) -> Value {
    let mut event = sample();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    parent.insert(key.to_owned(), value);
    event
}

const ARRIVED: Timestamp = Timestamp::constant(1_800_000_000, 5);

fn decode_one(value: &Value) -> Result<Event, EventError> {
    let mut events = decode_events(value, ARRIVED);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

#[track_caller]
fn check_refused(value: &Value, message: &str) {
    let error = decode_one(value).unwrap_err().to_string();
    assert!(
        error.contains(message),
        "`{error}` does not say `{message}`"
    );
}

#[test]
fn every_field_is_decoded() {
    let mut value = sample_with("/data/NBF", json!("1772360430"));
    value["data"]["EXP"] = json!(1_803_896_430);
    let expected = Event {
        id: "e-1".to_owned(),
        vault_host: "contoso-kv.vault.azure.net".parse().unwrap(),
        kind: ObjectKind::Secret,
        name: "sql-password".parse().unwrap(),
        occurrence: Occurrence::NewVersionCreated,
        version: Some(VERSION.parse().unwrap()),
        time: 1_772_360_430,
        nanoseconds: 123_456_700,
        is_time_of_arrival: false,
        not_before: Some(1_772_360_430),
        expires: Some(1_803_896_430),
    };
    assert_eq!(expected.moment(), (1_772_360_430, 123_456_700));
    assert_eq!(decode_one(&value), Ok(expected));
}

#[test]
fn both_schemas_mean_the_same() {
    let mut cloud_event = sample();
    let object = cloud_event.as_object_mut().unwrap();
    for (event_grid, cloud_events) in [
        ("topic", "source"),
        ("eventType", "type"),
        ("eventTime", "time"),
    ] {
        let value = object.remove(event_grid).unwrap();
        object.insert(cloud_events.to_owned(), value);
    }
    assert_eq!(decode_one(&cloud_event), decode_one(&sample()));
}

#[test]
fn an_event_without_a_time_is_taken_at_its_arrival() {
    let at_arrival = Event {
        time: 1_800_000_000,
        nanoseconds: 5,
        is_time_of_arrival: true,
        ..decode_one(&sample()).unwrap()
    };
    for absent in [json!(null), json!("  ")] {
        let event = decode_one(&sample_with("/eventTime", absent));
        assert_eq!(event.as_ref(), Ok(&at_arrival));
    }
    // Without a version, only a CloudEvent may do without it.
    let mut event = sample_with("/eventTime", json!(null));
    let data = event["data"].as_object_mut().unwrap();
    data.insert("Version".to_owned(), json!(null));
    data.insert(
        "Id".to_owned(),
        json!("https://contoso-kv.vault.azure.net/secrets/sql-password"),
    );
    check_refused(&event, "no `eventTime`");
    event["specversion"] = json!("1.0");
    assert!(decode_one(&event).unwrap().is_time_of_arrival);
}

#[test]
fn an_event_may_come_in_an_array_a_text_or_both() {
    let expected = decode_one(&sample());
    assert!(expected.is_ok());
    for value in [
        json!([sample()]),
        json!(sample().to_string()),
        json!(json!([sample()]).to_string()),
        json!([sample().to_string()]),
        json!(json!(sample().to_string()).to_string()),
    ] {
        assert_eq!(decode_one(&value), expected, "{value}");
    }
}

#[test]
fn a_bad_event_beside_good_ones_is_one_error() {
    let events = decode_events(&json!([sample(), {"id": "bad"}, 7, sample()]), ARRIVED);
    let fine: Vec<bool> = events.iter().map(Result::is_ok).collect();
    assert_eq!(fine, [true, false, false, true]);
    assert_eq!(events[1].as_ref().unwrap_err().id.as_deref(), Some("bad"));
}

#[test]
fn a_value_that_is_not_an_event_is_refused() {
    for value in [
        json!(null),
        json!(true),
        json!(7),
        json!([]),
        json!("text"),
        json!(""),
        json!([[sample()]]),
    ] {
        check_refused(&value, "expected an event, got");
    }
    let mut wrapped = sample();
    for _ in 0..5 {
        wrapped = json!(wrapped.to_string());
    }
    check_refused(&wrapped, "wrapped too often");
}

#[test]
fn an_event_may_be_wrapped_three_times_in_an_array_or_not() {
    let mut wrapped = sample();
    for _ in 0..3 {
        wrapped = json!(wrapped.to_string());
    }
    let expected = decode_one(&sample());
    assert_eq!(decode_one(&wrapped), expected);
    assert_eq!(decode_one(&json!([wrapped])), expected);
    let wrapped = json!(wrapped.to_string());
    check_refused(&wrapped, "wrapped too often");
    check_refused(&json!([wrapped]), "wrapped too often");
}

#[test]
fn an_id_has_at_most_256_bytes() {
    let id = "x".repeat(256);
    assert_eq!(decode_one(&sample_with("/id", json!(id))).unwrap().id, id);
    check_refused(&sample_with("/id", json!("x".repeat(257))), "`id` is not");
}

#[test]
fn every_kind_and_occurrence_is_known() {
    for kind in ObjectKind::ALL {
        for occurrence in Occurrence::OF_KEY_VAULT {
            let mut value = sample_with(
                "/eventType",
                json!(format!("microsoft.keyvault.{kind}{occurrence}")),
            );
            value["data"]["Id"] = json!(format!(
                "https://contoso-kv.vault.azure.net/{}/sql-password",
                kind.collection()
            ));
            let event = decode_one(&value).unwrap();
            assert_eq!((event.kind, event.occurrence), (kind, occurrence));
            assert_eq!(
                event.event_type(),
                format!("Microsoft.KeyVault.{kind}{occurrence}")
            );
        }
    }
}

#[test]
fn events_of_others_are_refused_with_their_type() {
    check_refused(
        &sample_with("/eventType", json!("Microsoft.Storage.BlobCreated")),
        "`Microsoft.Storage.BlobCreated`",
    );
    check_refused(
        &sample_with("/eventType", json!("Ωmega.KeyVault.Événement")),
        "is not a Key Vault event",
    );
    for unwanted in ["VaultAccessPolicyChanged", "SecretDeleted", ""] {
        let event_type = format!("Microsoft.KeyVault.{unwanted}");
        check_refused(
            &sample_with("/eventType", json!(event_type)),
            "events are not handled",
        );
    }
}

#[test]
fn a_missing_or_broken_field_is_named() {
    for (pointer, message) in [
        ("/id", "no `id`"),
        ("/eventType", "no `eventType`"),
        ("/data", "`data` is not an object"),
        ("/data/Id", "no `data.Id`"),
    ] {
        check_refused(&sample_with(pointer, json!(null)), message);
    }
    for (pointer, value) in [
        ("/eventTime", json!("yesterday")),
        ("/eventTime", json!(1_772_360_430)),
        ("/data/NBF", json!("soon")),
        ("/data/EXP", json!(-1)),
        ("/data/EXP", json!([])),
        ("/data/Id", json!("contoso-kv/sql-password")),
        (
            "/data/Id",
            json!("http://contoso-kv.vault.azure.net/secrets/s"),
        ),
        (
            "/data/Id",
            json!("https://contoso-kv.vault.azure.net/secrets/s/v/more"),
        ),
        ("/data/Id", json!("https://evil/secrets/s")),
        (
            "/data/Id",
            json!("https://contoso-kv.vault.azure.net/blobs/s"),
        ),
        ("/id", json!("x".repeat(1000))),
    ] {
        let field = pointer.trim_start_matches('/').replace('/', ".");
        check_refused(&sample_with(pointer, value), &format!("`{field}` is not"));
    }
}

#[test]
fn dates_come_as_text_number_null_or_not_at_all() {
    for value in [json!(null), json!(""), json!("  ")] {
        assert_eq!(
            decode_one(&sample_with("/data/NBF", value))
                .unwrap()
                .not_before,
            None
        );
    }
    for value in [
        json!(1_772_360_430),
        json!("1772360430"),
        json!(" 1772360430 "),
    ] {
        assert_eq!(
            decode_one(&sample_with("/data/NBF", value))
                .unwrap()
                .not_before,
            Some(1_772_360_430)
        );
    }
    let mut without = sample();
    without["data"]
        .as_object_mut()
        .unwrap()
        .retain(|key, _| key != "NBF" && key != "EXP");
    assert_eq!(decode_one(&without), decode_one(&sample()));
}

#[test]
fn rewritten_times_are_read() {
    for text in [
        "2026-03-01T10:20:30Z",
        "2026-03-01T11:20:30+01:00",
        "2026-03-01T10:20:30",
        "03/01/2026 10:20:30",
    ] {
        assert_eq!(
            decode_one(&sample_with("/eventTime", json!(text)))
                .unwrap()
                .time,
            1_772_360_430,
            "{text}"
        );
    }
}

#[test]
fn the_id_decides_about_the_vault() {
    let custom_topic =
        json!("/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/other");
    let event = decode_one(&sample_with("/topic", custom_topic)).unwrap();
    assert_eq!(event.vault_host.vault(), "contoso-kv");
    for same in ["CONTOSO-kv", ""] {
        assert!(decode_one(&sample_with("/data/VaultName", json!(same))).is_ok());
    }
    for no_vault in [
        "Microsoft.RecoveryServices/vaults/other",
        "Microsoft.KeyVault/managedHSMs/other",
    ] {
        let topic = json!(format!(
            "/subscriptions/s/resourceGroups/g/providers/{no_vault}"
        ));
        assert!(
            decode_one(&sample_with("/topic", topic)).is_ok(),
            "{no_vault}"
        );
    }
    let mixed_case =
        json!("/subscriptions/s/resourceGroups/g/providers/microsoft.keyvault/Vaults/CONTOSO-kv/");
    assert!(decode_one(&sample_with("/topic", mixed_case)).is_ok());
    let with_port =
        format!("https://CONTOSO-kv.vault.azure.net:443/secrets/sql-password/{VERSION}");
    assert_eq!(
        decode_one(&sample_with("/data/Id", json!(with_port))),
        decode_one(&sample())
    );
}

#[test]
fn a_contradiction_is_refused() {
    let other_vault =
        json!("/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/other");
    check_refused(
        &sample_with("/topic", other_vault),
        "`topic` says `other`, but its `data.Id` says `contoso-kv`",
    );
    check_refused(
        &sample_with("/data/VaultName", json!("other")),
        "`data.VaultName` says `other`, but its `data.Id` says `contoso-kv`",
    );
    check_refused(
        &sample_with("/data/ObjectName", json!("other")),
        "`data.ObjectName` says `other`",
    );
    check_refused(
        &sample_with("/data/Version", json!("other")),
        "`data.Version` says `other`",
    );
    check_refused(
        &sample_with("/eventType", json!("Microsoft.KeyVault.KeyExpired")),
        "`eventType` says `Key`",
    );
}

#[test]
fn the_version_may_stand_beside_the_id() {
    let without = json!("https://contoso-kv.vault.azure.net/secrets/sql-password");
    assert_eq!(
        decode_one(&sample_with("/data/Id", without)),
        decode_one(&sample())
    );
}

#[test]
fn every_fixture_is_decoded_or_refused_as_its_name_says() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".json") {
            continue;
        }
        count += 1;
        let value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let refused = [
            "event-grid-without-data",
            "event-grid-access-policy-changed",
            "event-grid-of-storage",
        ];
        let expected = !refused.iter().any(|start| name.starts_with(start));
        let event = decode_one(&value);
        assert_eq!(event.is_ok(), expected, "{name}: {event:?}");
    }
    assert_eq!(count, 11);
}

#[test]
fn more_than_a_thousand_events_are_one_error() {
    let events = json!(vec![sample(); MAX_EVENTS]);
    assert_eq!(decode_events(&events, ARRIVED).len(), MAX_EVENTS);
    let events = json!(vec![sample(); MAX_EVENTS + 1]);
    let wrapped = json!(events.to_string());
    let values = format!("[{}]", vec!["0"; crate::MAX_VALUES].join(","));
    for body in [events, wrapped, json!(values), json!([values])] {
        let decoded = decode_events(&body, ARRIVED);
        let [Err(error)] = decoded.as_slice() else {
            panic!("{decoded:?}");
        };
        assert_eq!(error.reason, EventErrorReason::TooMany);
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_decoding_panic(text in ".{0,200}", position in 0_usize..9) {
        let pointers = ["/id", "/topic", "/eventType", "/eventTime", "/data", "/data/Id", "/data/NBF", "/data/Version", "/data/ObjectName"];
        let _ = decode_events(&sample_with(pointers[position], json!(text)), ARRIVED);
        let _ = decode_events(&json!(text), ARRIVED);
    }
}
