//! The handler's input: environment, headers, bodies.

use keyrelay_local_azure::functions_host::{FunctionsHost, InvocationFailure, LogLevel, LogSource};
use serde_json::{Value, json};

use crate::handler_app::{AppFolder, event, eventually, start};

/// The request that the handler received: method, path, headers, body, environment.
async fn request_of(host: &FunctionsHost, function: &str, value: &Value) -> Value {
    let invocation = host.invoke(function, value).await.unwrap();
    invocation.outcome.unwrap()["ReturnValue"].clone()
}

#[tokio::test]
async fn an_invocation_has_the_headers_of_the_real_host() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let request = request_of(&host, "Event", &event("echo")).await;
    assert_eq!(request["method"], "POST");
    assert_eq!(request["path"], "/Event");
    let headers = &request["headers"];
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(headers["transfer-encoding"], "chunked");
    assert_eq!(headers["content-length"], Value::Null);
    assert_eq!(
        headers["x-azure-functions-invocationid"],
        json!(host.invocations()[0].id)
    );
    assert!(
        headers["x-azure-functions-hostversion"]
            .as_str()
            .unwrap()
            .starts_with("4.")
    );
    let trace: Vec<&str> = headers["traceparent"]
        .as_str()
        .unwrap()
        .split('-')
        .collect();
    assert_eq!(
        [
            trace[0].len(),
            trace[1].len(),
            trace[2].len(),
            trace[3].len()
        ],
        [2, 32, 16, 2]
    );
}

#[tokio::test]
async fn an_event_is_an_object() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let request = request_of(&host, "Event", &event("echo")).await;
    let body = &request["body"];
    assert_eq!(body["Data"], json!({ "event": event("echo") }));
    assert_eq!(body["Metadata"]["data"], json!({ "do": "echo" }));
    assert_eq!(body["Metadata"]["sys"]["MethodName"], "Event");
    assert!(
        body["Metadata"]["sys"]["UtcNow"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    assert_eq!(
        body["Metadata"]["sys"]["RandGuid"].as_str().unwrap().len(),
        36
    );
}

#[tokio::test]
async fn several_events_are_a_string_that_holds_an_array() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let events = json!([event("echo"), event("echo")]);
    let request = request_of(&host, "Events", &events).await;
    let text = request["body"]["Data"]["event"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), events);
    assert_eq!(
        request["body"]["Metadata"]["data"],
        json!(r#"[{"do":"echo"},{"do":"echo"}]"#)
    );
}

#[tokio::test]
async fn an_older_extension_encodes_an_event_twice() {
    let app = AppFolder::new();
    let mut options = app.options();
    options.double_encoded = true;
    let host = start(options).await;
    let request = request_of(&host, "Event", &event("echo")).await;
    let text = request["body"]["Data"]["event"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), event("echo"));
}

#[tokio::test]
async fn a_value_that_does_not_bind_never_reaches_the_handler() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let one = host.invoke("Event", &json!("text")).await.unwrap();
    assert_eq!(one.outcome, Err(InvocationFailure::Unbound("an event")));
    let many = host.invoke("Events", &event("echo")).await.unwrap();
    assert_eq!(
        many.outcome,
        Err(InvocationFailure::Unbound("an array of events"))
    );
}

#[tokio::test]
async fn only_event_functions_accept_events() {
    let app = AppFolder::new();
    let host = FunctionsHost::start(app.options()).await.unwrap();
    for function in ["event", "Timer", "Http", ""] {
        assert!(
            host.invoke(function, &event("echo")).await.is_err(),
            "{function}"
        );
    }
}

#[tokio::test]
async fn the_handler_gets_the_settings_and_the_hosts_variables() {
    let app = AppFolder::new();
    let mut options = app.options();
    options
        .environment
        .push(("MY_SETTING".to_owned(), "its value".to_owned()));
    let host = start(options).await;
    let request = request_of(&host, "Event", &event("echo")).await;
    let environment = &request["environment"];
    let port = host.handler_url().unwrap().port().unwrap().to_string();
    assert_eq!(environment["MY_SETTING"], "its value");
    assert_eq!(environment["FUNCTIONS_CUSTOMHANDLER_PORT"], json!(port));
    assert_eq!(environment["FUNCTIONS_HTTPWORKER_PORT"], json!(port));
    assert_eq!(
        environment["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"],
        environment["FUNCTIONS_HTTPWORKER_ID"]
    );
    assert_eq!(environment["FUNCTIONS_APP_ROOT_PATH"], json!(app.path()));
    assert_eq!(request["folder"], json!(app.path()));
    assert_eq!(request["arguments"], json!(["--from", "host.json"]));
    // Cargo sets this variable for tests, and it must not reach the handler.
    assert_eq!(environment["CARGO_MANIFEST_DIR"], Value::Null);
}

#[tokio::test]
async fn debug_output_contains_no_settings() {
    let app = AppFolder::new();
    let mut options = app.options();
    options
        .environment
        .push(("MY_SETTING".to_owned(), "planted-value".to_owned()));
    let text = format!("{options:?}");
    let host = FunctionsHost::start(options).await.unwrap();
    assert!(!format!("{text} {host:?}").contains("planted-value"));
}

#[tokio::test]
async fn a_timer_gets_its_schedule() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let first = host.run_timer("Timer").await.unwrap().outcome.unwrap();
    let timer = &first["ReturnValue"]["body"]["Data"]["timer"];
    assert_eq!(timer["Schedule"], json!({ "AdjustForDST": true }));
    assert_eq!(timer["IsPastDue"], json!(false));
    assert_eq!(timer["ScheduleStatus"]["Last"], "0001-01-01T00:00:00");
    assert!(
        timer["ScheduleStatus"]["Next"]
            .as_str()
            .unwrap()
            .contains("-01-01T00:00:00"),
        "{timer}"
    );
    let second = host.run_timer("Timer").await.unwrap().outcome.unwrap();
    let last = &second["ReturnValue"]["body"]["Data"]["timer"]["ScheduleStatus"]["Last"];
    assert!(last.as_str().unwrap().starts_with("20"), "{last}");
}

#[tokio::test]
async fn a_timer_runs_on_its_schedule() {
    let app = AppFolder::new();
    let timer = json!({ "type": "timerTrigger", "name": "timer", "direction": "in", "schedule": "* * * * * *" });
    app.write("Timer/function.json", &json!({ "bindings": [timer] }));
    let host = start(app.options()).await;
    let runs = eventually("the timer has run twice", || {
        Some(host.invocations()).filter(|it| it.len() >= 2)
    })
    .await;
    let timer = &runs[0].outcome.as_ref().unwrap()["ReturnValue"]["body"]["Data"]["timer"];
    // Schedules below a minute have no status.
    assert_eq!(timer["ScheduleStatus"], Value::Null);
}

#[tokio::test]
async fn the_handlers_output_is_logged_by_stream() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    host.invoke("Event", &event("print this")).await.unwrap();
    host.invoke("Event", &event("print a Warning"))
        .await
        .unwrap();
    let level_of = |text: &str| {
        let lines = host.log().lines();
        let line = lines.into_iter().find(|line| line.text == text)?;
        assert_eq!(
            (&line.source, &line.invocation_id),
            (&LogSource::Console, &None)
        );
        Some(line.level)
    };
    for (text, level) in [
        ("out: this", LogLevel::Information),
        ("err: this", LogLevel::Error),
        ("out: a Warning", LogLevel::Information),
        ("err: a Warning", LogLevel::Warning),
    ] {
        assert_eq!(eventually(text, || level_of(text)).await, level, "{text}");
    }
}

#[tokio::test]
async fn the_log_reaches_subscribers_and_the_file() {
    let app = AppFolder::new();
    let file = app.path().join("host.log");
    let mut options = app.options();
    options.log = keyrelay_local_azure::functions_host::HostLog::to_file(&file).unwrap();
    let mut subscriber = options.log.subscribe();
    let host = start(options).await;
    host.invoke("Event", &event("logs seen everywhere"))
        .await
        .unwrap();
    while subscriber.recv().await.unwrap().text != "seen everywhere" {}
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .contains("[Information] Function.Event.User: seen everywhere")
    );
}
