use super::*;

/// Pending work as keyrelay 0.1.0 wrote it before "undo" became `rollback`.
const BEFORE: &str = r#"{
    "app": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders",
    "works": [{
        "run": "20261123T054539123Z-1f3a9c2d",
        "event": {
            "id": "e-1",
            "type": "Microsoft.KeyVault.SecretNewVersionCreated",
            "vault_host": "contoso-kv.vault.azure.net",
            "kind": "Secret",
            "name": "sql",
            "occurrence": "NewVersionCreated",
            "version": "0c7751761b5a4ca09f3deec5fba4af83",
            "time": 1772360430,
            "nanoseconds": 5,
            "not_before": null,
            "expires": null
        },
        "since": "2026-11-23T05:45:39.123Z",
        "due": "2026-11-23T05:46:39.123Z",
        "attempts": 2,
        "reason": "the reference is not resolved yet",
        "undo": [
            {
                "setting": "SQL",
                "before": { "reference": "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)" },
                "after": "absent"
            },
            { "setting": "TEXT", "before": "plain-text", "after": "absent" }
        ]
    }]
}"#;

#[test]
fn pending_work_of_an_earlier_version_is_read() {
    let work: PendingWork = serde_json::from_str(BEFORE).unwrap();
    let [rotation] = work.rotations.as_slice() else {
        panic!("{work:?}");
    };
    assert_eq!((rotation.attempts, rotation.rollback.len()), (2, 2));
    let (plan, not_kept) = to_plan(&rotation.rollback, "vault.azure.net");
    assert_eq!(plan.changes().count(), 1);
    assert_eq!(not_kept, ["TEXT"]);
}

#[test]
fn pending_work_is_written_in_the_present_form() {
    let work: PendingWork = serde_json::from_str(BEFORE).unwrap();
    let mut expected: serde_json::Value = serde_json::from_str(BEFORE).unwrap();
    let rotation = expected["works"][0].as_object_mut().unwrap();
    let rollback = rotation.remove("undo").unwrap();
    rotation.insert("rollback".to_owned(), rollback);
    rotation.insert("connection_strings".to_owned(), true.into());
    rotation.insert("is_refresh".to_owned(), false.into());
    expected["claimed_until"] = serde_json::Value::Null;
    assert_eq!(serde_json::to_value(&work).unwrap(), expected);
}
