//! The commands for those who write policies, on the shipped ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{Done, done};

/// A folder with two policies, and a case of one of them.
struct App(TempDir);

const CASE: &str = r#"# A reference without a version is pinned.
[event]
secret = "sql"
version = "2"

[settings]
SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)"
PLAIN = "planted-value-plain"

[expect]
decision = "patch"

[expect.set]
SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql;SecretVersion=2)"
"#;

impl App {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policies = folder.path().join("policies");
        fs::create_dir_all(policies.join("pin/cases")).unwrap();
        for name in ["follow", "pin"] {
            let built =
                Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../policies/{name}.wasm"));
            assert!(
                fs::copy(&built, policies.join(format!("{name}.wasm"))).is_ok(),
                "run `cargo xtask policies`"
            );
        }
        fs::write(policies.join("pin/cases/pins.toml"), CASE).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.file(name), content).unwrap();
    }

    async fn run(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .kill_on_drop(true)
            .stdin(Stdio::null());
        done(command).await
    }

    /// Runs, expects success, and returns what was printed.
    async fn good(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments).await;
        assert_eq!(done.code, Some(0), "{}{}", done.output, done.errors);
        done.output
    }

    /// Runs, expects that a rule or a check fails, and returns what was printed.
    async fn bad(&self, arguments: &[&str]) -> String {
        self.ends(1, arguments).await
    }

    /// Runs, expects that this was called wrongly, and returns what was printed.
    async fn misused(&self, arguments: &[&str]) -> String {
        self.ends(2, arguments).await
    }

    async fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let done = self.run(arguments).await;
        assert_eq!(
            done.code,
            Some(code),
            "{arguments:?}: {}{}",
            done.output,
            done.errors
        );
        format!("{}{}", done.output, done.errors)
    }
}

/// The JSON of each line.
#[track_caller]
fn rows(output: String) -> Vec<Value> {
    output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn all_cases_of_the_shipped_policies_hold() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let app = App::new();
    let output = app
        .good(&["test", &policies.display().to_string(), "--json"])
        .await;
    for name in ["alternate", "announce", "follow", "pin", "unpin"] {
        let cases = output
            .lines()
            .filter(|line| line.contains(&format!("\"policy\":\"{name}\"")))
            .count();
        assert!(cases >= 8, "{name}: {cases}");
    }
}

#[tokio::test]
async fn a_case_that_holds_is_ok() {
    let app = App::new();
    for policy in [".", "policies", "policies/pin.wasm"] {
        let output = app.good(&["test", policy]).await;
        assert!(output.contains("ok      pins"), "{output}");
    }
}

#[tokio::test]
async fn a_case_that_does_not_hold_shows_the_difference() {
    let app = App::new();
    app.write(
        "policies/pin/cases/pins.toml",
        CASE.replace("SecretVersion=2)\"", "SecretVersion=3)\""),
    );
    let output = app.bad(&["test"]).await;
    assert!(
        output.contains("FAILED  pins") && output.contains("1 of 1 cases failed"),
        "{output}"
    );
    assert!(
        output.contains("- SQL = ") && output.contains("+ SQL = "),
        "{output}"
    );
    assert!(output.contains("  decision = \"patch\""), "{output}");
}

#[tokio::test]
async fn update_writes_what_came_out_and_leaves_the_rest() {
    let app = App::new();
    let without = CASE.split("[expect]").next().unwrap();
    app.write("policies/pin/cases/pins.toml", without);
    app.bad(&["test"]).await;
    app.good(&["test", "--update"]).await;
    assert_eq!(
        fs::read_to_string(app.file("policies/pin/cases/pins.toml")).unwrap(),
        CASE
    );
}

#[tokio::test]
async fn a_case_that_cannot_be_read_fails_alone() {
    let app = App::new();
    app.write("policies/pin/cases/broken.toml", "[event]\nsecret = 1\n");
    app.write(
        "policies/pin/cases/grants.toml",
        "[event]\nsecret = \"sql\"\n[grant]\nsets = []\n[expect]\ndecision = \"refresh\"\n",
    );
    let output = app.bad(&["test"]).await;
    assert!(output.contains("2 of 3 cases failed"), "{output}");
    assert!(
        output.contains("ok      pins")
            && output.contains("broken.toml is no case")
            && output.contains("grant.sets"),
        "{output}"
    );
}

#[tokio::test]
async fn results_are_there_for_programs() {
    let app = App::new();
    let output = app
        .good(&["test", "--json", "--junit", "results.xml"])
        .await;
    let result: Value = serde_json::from_str(output.trim()).unwrap();
    assert_eq!(
        (&result["policy"], &result["case"], &result["result"]),
        (&"pin".into(), &"pins".into(), &"ok".into())
    );
    let junit = fs::read_to_string(app.file("results.xml")).unwrap();
    assert!(
        junit.contains("<testsuite name=\"pin\" tests=\"1\"") && junit.contains("name=\"pins\""),
        "{junit}"
    );
}

#[tokio::test]
async fn a_policy_that_is_older_than_its_source_is_said() {
    let app = App::new();
    app.write("policies/pin/package.json", "{}");
    app.write("policies/pin/policy.js", "");
    let later = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(4_000_000_000);
    fs::File::options()
        .write(true)
        .open(app.file("policies/pin/policy.js"))
        .unwrap()
        .set_modified(later)
        .unwrap();
    let done = app.run(&["test"]).await;
    assert_eq!(done.code, Some(0), "{}", done.errors);
    assert!(
        done.errors.contains("is older than") && done.errors.contains("policy.js"),
        "{}",
        done.errors
    );
}

#[tokio::test]
async fn nothing_to_test_is_no_success() {
    let app = App::new();
    fs::remove_dir_all(app.file("policies/pin")).unwrap();
    let output = app.misused(&["test"]).await;
    assert!(
        output.contains("nothing to test")
            && output.contains("there are no cases in ./policies/pin/cases")
    );
    for command in ["test", "inspect", "bench"] {
        assert!(
            app.misused(&[command, "policies/gone.wasm"])
                .await
                .contains("there is no policies/gone.wasm")
        );
    }
    for command in ["compile", "lock", "build"] {
        assert!(app.misused(&[command, "gone"]).await.contains("gone"));
    }
    assert!(
        app.misused(&["test", "policies/pin.wasm", "gone.toml"])
            .await
            .contains("there are no cases in gone.toml")
    );
    assert!(
        app.misused(&["bench", "policies"])
            .await
            .contains("has 2 policies: name one of them")
    );
}

#[tokio::test]
async fn a_policy_that_cannot_be_loaded_fails_alone() {
    let app = App::new();
    app.write("policies/broken.wasm", "broken");
    fs::create_dir_all(app.file("policies/broken/cases")).unwrap();
    app.write("policies/broken/cases/pins.toml", CASE);
    let output = app.bad(&["test", "--junit", "results.xml"]).await;
    assert!(
        output.contains("FAILED  load") && output.contains("broken.wasm is no policy"),
        "{output}"
    );
    assert!(
        output.contains("ok      pins") && output.contains("1 of 2 cases failed"),
        "{output}"
    );
    let junit = fs::read_to_string(app.file("results.xml")).unwrap();
    assert!(junit.contains("tests=\"2\" failures=\"1\""), "{junit}");
}

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
    let refused = app.misused(&run).await;
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
        app.misused(&[&run[..], &["--config", "gone"]].concat())
            .await
            .contains("there is no gone")
    );
}

#[tokio::test]
async fn inspecting_says_what_a_policy_is_and_what_is_none() {
    let app = App::new();
    app.write(
        "keyrelay.toml",
        "[[rotation]]\nsecret = \"sql-*\"\npolicy = \"pin\"\ngrant = { set = [\"SQL_PASSWORD\"] }\n",
    );
    let output = app.good(&["inspect", "policies/pin.wasm"]).await;
    for part in [
        "pin 0.1.0: Pins",
        "imports       nothing",
        "secret = \"sql-*\"",
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
            .contains("the precompiled form of pin is another file")
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

    let none = elsewhere.misused(&["lock", "policies/pin"]).await;
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

#[tokio::test]
async fn the_reference_pages_are_those_of_the_code() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
    command
        .arg("reference")
        .arg(&pages)
        .arg("--check")
        .stdin(Stdio::null());
    let checked = done(command).await;
    assert_eq!(checked.code, Some(0), "{}", checked.errors);
}
