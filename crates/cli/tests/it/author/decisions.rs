//! `keyrelay events`, `keyrelay run`, and the JSON that commands print.

use serde_json::{Value, json};

use super::app::{App, rows};

#[tokio::test]
async fn every_sample_is_decided_about() {
    let app = App::new();
    app.write(
        "settings.json",
        r#"[{"name":"SQL","slotSetting":false,"value":"@Microsoft.KeyVault(VaultName=v-1;SecretName=sql)"}]"#,
    );
    let kinds = app.good(&["events", "--json"]).await;
    assert_eq!(kinds.lines().count(), 10);
    for line in kinds.lines() {
        let kind: Value = serde_json::from_str(line).unwrap();
        for schema in ["event-grid", "cloud-events"] {
            let kind = kind["kind"].as_str().unwrap();
            let sample = app
                .good(&[
                    "events", "sample", kind, "--vault", "v-1", "--secret", "sql", "--schema",
                    schema,
                ])
                .await;
            app.write("event.json", sample);
            let run = [
                "run",
                "policies/pin.wasm",
                "--event",
                "event.json",
                "--settings",
                "settings.json",
                "--json",
            ];
            let result: Value = serde_json::from_str(&app.good(&run).await).unwrap();
            let expected =
                if kind == "SecretNewVersionCreated" || kind == "CertificateNewVersionCreated" {
                    "patch"
                } else {
                    "skip"
                };
            assert!(
                result["decision"] == expected || kind.starts_with("Key"),
                "{kind} {result}"
            );
        }
    }
}

#[tokio::test]
async fn what_was_made_is_told_as_json() {
    let app = App::new();
    let made = rows(
        app.good(&["new", "mine", "--lang", "python", "--json"])
            .await,
    );
    assert_eq!(
        (&made[0]["policy"], &made[0]["folder"]),
        (&json!("mine"), &json!("./mine"))
    );
    assert!(
        made[0]["files"]
            .as_array()
            .unwrap()
            .contains(&json!("policy.py")),
        "{made:?}"
    );

    let locked = rows(app.good(&["lock", "--json"]).await);
    assert!(
        locked
            .iter()
            .all(|row| row["digest"].is_string() && row["precompiled"].is_null()),
        "{locked:?}"
    );
    let compiled = rows(app.good(&["compile", "--json"]).await);
    assert_eq!(compiled.len(), locked.len());
    assert!(
        compiled.iter().all(|row| row["precompiled"].is_string()),
        "{compiled:?}"
    );

    let checked = rows(app.good(&["lock", "--check", "--json"]).await);
    assert_eq!(
        checked,
        [json!({ "lock": "./policies.lock", "differences": [] })]
    );
    app.write("policies/pin.wasm", "another");
    let changed = app.run(&["lock", "--check", "--json"]).await;
    assert_eq!(changed.code, Some(1));
    assert_eq!(
        rows(changed.output)[0]["differences"],
        json!(["pin is another file"])
    );
}

#[tokio::test]
async fn one_decision_shows_its_plan_and_no_plain_text() {
    let app = App::new();
    app.write(
        "event.json",
        app.good(&[
            "events",
            "sample",
            "SecretNewVersionCreated",
            "--secret",
            "sql",
            "--version",
            "2",
        ])
        .await,
    );
    app.write(
        "settings.json",
        r#"{"SQL":"@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)","PLAIN":"planted-value-plain"}"#,
    );
    let output = app
        .good(&[
            "run",
            "policies/pin.wasm",
            "--event",
            "event.json",
            "--settings",
            "settings.json",
        ])
        .await;
    assert!(
        output.contains("decision  patch") && output.contains("SecretVersion=2)"),
        "{output}"
    );
    assert!(
        output.contains(" us, ") && !output.contains("planted"),
        "{output}"
    );
    app.write("settings.json", "[1]");
    let run = [
        "run",
        "policies/pin.wasm",
        "--event",
        "event.json",
        "--settings",
        "settings.json",
    ];
    let refused = app.usage_error(&run).await;
    assert!(
        refused.contains("settings.json") && refused.contains("`name` and `value`"),
        "{refused}"
    );
    app.write("settings.json", "{}");
    app.write(
        "keyrelay.toml",
        "[[rotation]]\nsecret = \"sql\"\npolicy = \"follow\"\n",
    );
    for config in [".", "keyrelay.toml"] {
        let other = app
            .run(&[&run[..], &["--config", config]].concat())
            .await
            .errors;
        assert!(
            other.contains("keyrelay.toml has `sql` handled by `follow`"),
            "{other}"
        );
    }
    assert!(
        app.usage_error(&[&run[..], &["--config", "gone"]].concat())
            .await
            .contains("there is no gone")
    );
}
