//! The validation of the app's files.

use std::error::Error;
use std::path::PathBuf;

use keyrelay_local_azure::functions_host::FunctionsHost;
use serde_json::{Value, json};

use crate::handler_app::{AppFolder, event_trigger, host_json};

/// The error of an app with this content in one of its files, with all causes.
async fn error_of(file: &str, content: &Value) -> String {
    let app = AppFolder::new();
    app.write(file, content);
    let error = FunctionsHost::start(app.options()).await.unwrap_err();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

async fn check(file: &str, content: Value, named: &[&str]) {
    let error = error_of(file, &content).await;
    for name in named.iter().chain([&file]) {
        assert!(error.contains(name), "`{name}` is not in: {error}");
    }
}

async fn check_trigger(field: &str, value: Value) {
    let mut trigger = event_trigger();
    trigger[field] = value;
    check(
        "Event/function.json",
        json!({ "bindings": [trigger] }),
        &[&format!("bindings.0.{field}")],
    )
    .await;
}

#[tokio::test]
async fn rejects_a_host_json_of_another_version() {
    let mut host = host_json(PathBuf::from("handler"));
    host["version"] = json!("1.0");
    check("host.json", host, &["`version`", "2.0"]).await;
}

#[tokio::test]
async fn rejects_a_host_json_without_an_executable() {
    let mut host = host_json(PathBuf::from("handler"));
    host["customHandler"] = json!({});
    check(
        "host.json",
        host,
        &["`customHandler.description.defaultExecutablePath`"],
    )
    .await;
}

#[tokio::test]
async fn rejects_a_missing_executable() {
    let host = host_json(PathBuf::from("not-there"));
    check(
        "host.json",
        host,
        &[
            "`customHandler.description.defaultExecutablePath`",
            "existing",
        ],
    )
    .await;
}

#[tokio::test]
async fn rejects_event_triggers_without_the_extension_bundle() {
    let app = AppFolder::new();
    let mut host = host_json(app.path().join("host.json"));
    host.as_object_mut().unwrap().remove("extensionBundle");
    check("host.json", host, &["`extensionBundle.id`"]).await;
}

#[tokio::test]
async fn rejects_forwarding_to_http_functions() {
    let app = AppFolder::new();
    let mut host = host_json(app.path().join("host.json"));
    host["customHandler"]["enableForwardingHttpRequest"] = json!(true);
    check(
        "host.json",
        host,
        &["`customHandler.enableForwardingHttpRequest`"],
    )
    .await;
}

#[tokio::test]
async fn rejects_a_function_without_a_trigger() {
    check(
        "Event/function.json",
        json!({ "bindings": [] }),
        &["`bindings`"],
    )
    .await;
}

#[tokio::test]
async fn rejects_unknown_triggers() {
    check_trigger("type", json!("queueTrigger")).await;
    check_trigger("cardinality", json!("some")).await;
    check_trigger("name", json!(7)).await;
}

#[tokio::test]
async fn rejects_a_schedule_of_five_fields() {
    let timer = json!({ "type": "timerTrigger", "name": "timer", "schedule": "*/5 * * * *" });
    check(
        "Timer/function.json",
        json!({ "bindings": [timer] }),
        &["`bindings.0.schedule`"],
    )
    .await;
}

#[tokio::test]
async fn reads_a_schedule_from_a_setting() {
    let timer = json!({ "type": "timerTrigger", "name": "timer", "schedule": "%WHEN%" });
    let bindings = json!({ "bindings": [timer] });
    check(
        "Timer/function.json",
        bindings.clone(),
        &["`bindings.0.schedule`"],
    )
    .await;
    let app = AppFolder::new();
    app.write("Timer/function.json", &bindings);
    let mut options = app.options();
    options
        .environment
        .push(("WHEN".to_owned(), "0 0 0 1 1 *".to_owned()));
    FunctionsHost::start(options).await.unwrap();
}

#[tokio::test]
async fn names_the_file_that_is_not_json() {
    let app = AppFolder::new();
    std::fs::write(app.path().join("Timer/function.json"), "{").unwrap();
    let error = FunctionsHost::start(app.options()).await.unwrap_err();
    assert!(
        error
            .source()
            .unwrap()
            .to_string()
            .contains("Timer/function.json")
    );
}

#[tokio::test]
async fn rejects_an_executable_that_cannot_be_started() {
    let app = AppFolder::new();
    app.write("host.json", &host_json(app.path().join("host.json")));
    let error = FunctionsHost::start(app.options()).await.unwrap_err();
    assert!(
        error.to_string().contains("cannot start the handler"),
        "{error}"
    );
}

#[tokio::test]
async fn lists_the_functions() {
    let app = AppFolder::new();
    let host = FunctionsHost::start(app.options()).await.unwrap();
    assert_eq!(host.functions(), ["Event", "Events", "Http", "Timer"]);
}
