//! `keyrelay test`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::app::{App, CASE};

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
    let output = app.usage_error(&["test"]).await;
    assert!(
        output.contains("nothing to test")
            && output.contains("there are no cases in ./policies/pin/cases")
    );
    for command in ["test", "inspect", "bench"] {
        assert!(
            app.usage_error(&[command, "policies/gone.wasm"])
                .await
                .contains("there is no policies/gone.wasm")
        );
    }
    for command in ["compile", "lock", "build"] {
        assert!(app.usage_error(&[command, "gone"]).await.contains("gone"));
    }
    assert!(
        app.usage_error(&["test", "policies/pin.wasm", "gone.toml"])
            .await
            .contains("there are no cases in gone.toml")
    );
    assert!(
        app.usage_error(&["bench", "policies"])
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
