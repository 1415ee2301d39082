//! A custom handler whose events select its behaviour, for the tests of the Functions host.
//!
//! The field `data.do` of an event selects an action. The default returns the request in
//! `ReturnValue`. The setting `HANDLER_TIMER` selects the action of a timer. The setting
//! `HANDLER_START` selects an action at the start: `exit <code>`, or `mute` to accept requests
//! without a response.

#![expect(
    clippy::disallowed_methods,
    reason = "the environment is the input of this program"
)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The number of running invocations, and its maximum so far.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MAX_RUNNING: AtomicUsize = AtomicUsize::new(0);

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let start = variable("HANDLER_START");
    if let Some(code) = start.strip_prefix("exit ") {
        exit(code);
    }
    let port = variable("FUNCTIONS_CUSTOMHANDLER_PORT")
        .parse()
        .map_err(std::io::Error::other)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let router = if start == "mute" {
        Router::new().fallback(async || std::future::pending::<()>().await)
    } else {
        Router::new()
            .route("/", get(async || "ready"))
            .fallback(invocation)
    };
    axum::serve(listener, router).await
}

async fn invocation(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
    MAX_RUNNING.fetch_max(running, Ordering::SeqCst);
    let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let response = perform(&action(&body), &method, &uri, &headers, body).await;
    RUNNING.fetch_sub(1, Ordering::SeqCst);
    response
}

/// The action: `data.do` of the event or of the first event, in either encoding. A timer has its
/// setting.
fn action(body: &Value) -> String {
    if body.pointer("/Data/timer").is_some() {
        return variable("HANDLER_TIMER");
    }
    let value = body.pointer("/Data/event").cloned().unwrap_or_default();
    let value = match value.as_str() {
        Some(text) => serde_json::from_str(text).unwrap_or_default(),
        None => value,
    };
    let action = value
        .pointer("/data/do")
        .or_else(|| value.pointer("/0/data/do"))
        .and_then(Value::as_str);
    action.unwrap_or("echo").to_owned()
}

async fn perform(
    action: &str,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Value,
) -> Response {
    match action.split_once(' ').unwrap_or((action, "")) {
        ("echo" | "", _) => echo(method, uri, headers, &body),
        ("empty", _) => StatusCode::OK.into_response(),
        ("null", _) => respond(StatusCode::OK, &Value::Null),
        ("list", _) => respond(StatusCode::OK, &json!([])),
        ("text", _) => "fine".into_response(),
        ("broken", _) => ([(header::CONTENT_TYPE, "application/json")], "{").into_response(),
        ("status", code) => {
            let code = code.parse().unwrap_or(StatusCode::IM_A_TEAPOT);
            respond(
                code,
                &json!({ "Outputs": {}, "Logs": ["discarded"], "ReturnValue": null }),
            )
        }
        ("nothing", code) => code
            .parse()
            .unwrap_or(StatusCode::IM_A_TEAPOT)
            .into_response(),
        ("redirect", code) if uri.path() != "/elsewhere" => (
            code.parse().unwrap_or(StatusCode::IM_A_TEAPOT),
            [(header::LOCATION, "/elsewhere")],
        )
            .into_response(),
        ("redirect", _) => echo(method, uri, headers, &body),
        ("logs", text) => respond(
            StatusCode::OK,
            &json!({ "Outputs": {}, "Logs": [text], "ReturnValue": null }),
        ),
        ("print", text) => {
            print(text);
            echo(method, uri, headers, &body)
        }
        // Responds once this number of invocations has run concurrently.
        ("meet", count) => {
            let count = count.parse().unwrap_or(usize::MAX);
            while MAX_RUNNING.load(Ordering::SeqCst) < count {
                tokio::task::yield_now().await;
            }
            echo(method, uri, headers, &body)
        }
        // Requests a token from the identity endpoint.
        ("token", _) => match token().await {
            Ok(status) => respond(StatusCode::OK, &json!({ "ReturnValue": status.as_u16() })),
            Err(error) => respond(StatusCode::BAD_GATEWAY, &json!(error.to_string())),
        },
        ("exit", code) => exit(code),
        // `hang`, and any unknown action.
        _ => {
            print("hanging");
            std::future::pending().await
        }
    }
}

async fn token() -> reqwest::Result<StatusCode> {
    let query = "?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net";
    let client = reqwest::Client::builder().no_proxy().build()?;
    let request = client.get(format!("{}{query}", variable("IDENTITY_ENDPOINT")));
    Ok(request
        .header("X-IDENTITY-HEADER", variable("IDENTITY_HEADER"))
        .send()
        .await?
        .status())
}

/// Returns the request with the environment of the process.
fn echo(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Value) -> Response {
    let headers: BTreeMap<&str, String> = headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str(),
                String::from_utf8_lossy(value.as_bytes()).into(),
            )
        })
        .collect();
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .collect();
    let folder = std::env::current_dir().unwrap_or_default();
    let request = json!({
        "method": method.as_str(), "path": uri.path(), "headers": headers, "body": body,
        "environment": environment, "folder": folder, "arguments": std::env::args().skip(1).collect::<Vec<_>>(),
    });
    let response =
        json!({ "statusCode": "201", "headers": { "x-made-by": "handler" }, "body": request });
    respond(
        StatusCode::OK,
        &json!({ "Outputs": { "res": response }, "Logs": [], "ReturnValue": request }),
    )
}

fn respond(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests read the console output"
)]
fn print(text: &str) {
    println!("out: {text}");
    eprintln!("err: {text}");
}

fn variable(name: &str) -> String {
    std::env::var_os(name)
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests crash the handler during an invocation"
)]
fn exit(code: &str) -> ! {
    std::process::exit(code.parse().unwrap_or(99))
}
