//! `keyrelay inspect`, `compile`, `lock` and `bench`.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use super::app::{App, rows};

#[tokio::test]
async fn inspecting_says_what_a_policy_is_and_what_is_none() {
    let app = App::new();
    app.write(
        "keyrelay.toml",
        "[[rotation]]\nsecret = \"contoso-kv/sql-*\"\npolicy = \"pin\"\ngrant = { set = [\"SQL_PASSWORD\"] }\n",
    );
    let output = app.good(&["inspect", "policies/pin.wasm"]).await;
    for part in [
        "pin 0.1.0: Pins",
        "imports       nothing",
        "secret = \"contoso-kv/sql-*\"",
        "set = [\"SQL_PASSWORD\"]",
        "500 ms",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    app.write("policies/broken.wasm", "broken");
    let output = app.run(&["inspect", "--json"]).await.output;
    let reports = rows(output);
    let report = |name: &str| {
        reports
            .iter()
            .find(|report| report["name"] == name)
            .unwrap()
    };
    let (broken, pin, follow) = (report("broken"), report("pin"), report("follow"));
    assert!(
        broken["quarantined"]
            .as_str()
            .unwrap()
            .contains("not WebAssembly"),
        "{broken}"
    );
    let grant = json!({ "set": ["SQL_PASSWORD"], "remove": [], "reveal": [], "secrets": [], "text": false });
    assert_eq!(pin["rules"][0]["grant"], grant);
    assert_eq!(
        (
            &follow["rules"],
            &follow["without_rule"]["limits"]["time_ms"]
        ),
        (&json!([]), &json!(500))
    );
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_cannot_be_printed_is_said() {
    let app = App::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    command
        .args(["inspect", "--json"])
        .current_dir(app.0.path())
        .stdout(full)
        .stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}

#[tokio::test]
async fn what_is_compiled_ahead_is_locked_and_used() {
    let app = App::new();
    app.good(&["compile"]).await;
    app.good(&["lock", "--check"]).await;
    assert!(
        app.good(&["inspect", "policies/pin.wasm"])
            .await
            .contains("precompiled   yes, for this machine")
    );
    let mut compiled = fs::read(app.file("policies/pin.cwasm")).unwrap();
    compiled[1000] ^= 1;
    app.write("policies/pin.cwasm", compiled);
    assert!(
        app.bad(&["lock", "--check"])
            .await
            .contains("pin.cwasm is not what pin.wasm compiles to")
    );
    assert!(
        app.good(&["inspect", "policies/pin.wasm"])
            .await
            .contains("not used: the precompiled file is not the one")
    );
    app.write(
        "policies/new.wasm",
        fs::read(app.file("policies/follow.wasm")).unwrap(),
    );
    for config in [".", "keyrelay.toml"] {
        app.write("keyrelay.toml", "");
        let output = app
            .bad(&["inspect", "policies/new.wasm", "--config", config])
            .await;
        assert!(
            output.contains("policies.lock does not name it"),
            "{output}"
        );
    }
    assert!(app.bad(&["lock"]).await.contains("policies/pin.cwasm"));
    fs::remove_file(app.file("policies/pin.cwasm")).unwrap();
    app.good(&["lock"]).await;
    app.good(&["inspect", "policies/new.wasm"]).await;
}

#[tokio::test]
async fn the_function_app_is_found_around_its_policies() {
    let (app, elsewhere) = (App::new(), App::new());
    app.write(
        "keyrelay.toml",
        "[[rotation]]\nsecret = \"sql-*\"\npolicy = \"pin\"\n",
    );
    let policies = app.file("policies").display().to_string();
    let file = app.file("policies/pin.wasm").display().to_string();
    for command in ["compile", "lock"] {
        elsewhere.good(&[command, &policies]).await;
        app.good(&[command, "policies"]).await;
    }
    elsewhere.good(&["lock", "--check", &policies]).await;
    assert!(app.file("policies.lock").exists() && !elsewhere.file("policies.lock").exists());
    let output = elsewhere.good(&["inspect", &file]).await;
    assert!(
        output.contains("precompiled   yes") && output.contains("secret = \"sql-*\""),
        "{output}"
    );
    let output = elsewhere.good(&["inspect", &file, "--config", "."]).await;
    assert!(
        output.contains("there is no policies.lock") && output.contains("none names it"),
        "{output}"
    );

    let none = elsewhere.usage_error(&["lock", "policies/pin"]).await;
    assert!(
        none.contains("there is no folder policies/pin/policies: name the function app"),
        "{none}"
    );
}

#[tokio::test]
async fn what_is_no_policy_is_not_locked() {
    let app = App::new();
    app.write("policies/broken.wasm", "broken");
    app.write("policies/empty.wasm", "");
    for command in ["lock", "compile"] {
        let output = app.bad(&[command]).await;
        assert!(
            output.contains("broken.wasm is no policy")
                && output.contains("empty.wasm is no policy"),
            "{output}"
        );
    }
    assert!(!app.file("policies.lock").exists());
}

#[tokio::test]
async fn a_measurement_is_beside_the_empty_policy() {
    let app = App::new();
    let output = app
        .good(&["bench", "policies/follow.wasm", "--seconds", "1", "--json"])
        .await;
    let result: Value = serde_json::from_str(&output).unwrap();
    assert!(
        result["ratio"].as_f64().unwrap() > 0.0
            && result["policy"]["median_us"].as_f64().unwrap() > 0.0,
        "{result}"
    );
}
