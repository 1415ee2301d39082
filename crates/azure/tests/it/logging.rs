use std::io::Write;
use std::sync::{Arc, Mutex};

use keyrelay_model::{SettingValue, Settings};
use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;

use crate::fake::{Fake, call, orders, respond};
use crate::process::run_in_own_process;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Set in the test's own process. `tracing` caches the interest in an event for the whole process,
/// and the other tests have no subscriber.
const ALONE: &str = "TEST_ALONE";

#[tokio::test]
async fn a_request_is_logged_with_its_ids_and_without_its_content() {
    if std::env::var_os(ALONE).is_none() {
        let test = "logging::a_request_is_logged_with_its_ids_and_without_its_content";
        return run_in_own_process(test, &[(ALONE, "1")]).await;
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let held = json!({ "properties": { "A": "planted-held" } });
    let fake = Fake::start([
        respond(401, json!({})),
        respond(200, held).with("x-ms-request-id", "r-1"),
    ])
    .await;
    let sent: Settings = [("A".parse().unwrap(), SettingValue::new("planted-sent"))]
        .into_iter()
        .collect();
    fake.resource_manager()
        .write_settings(&orders(), &sent, &call())
        .await
        .unwrap();

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(
        !text.contains("planted") && !text.contains("token-1") && !text.contains("token-2"),
        "{text}"
    );
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let event = events
        .iter()
        .find(|event| event["fields"]["message"] == "request to Azure finished")
        .unwrap();
    let fields = &event["fields"];
    assert_eq!(
        (&event["level"], &fields["azure.operation"]),
        (&json!("DEBUG"), &json!("write the settings"))
    );
    assert_eq!(
        (&fields["azure.subject"], &fields["azure.status"]),
        (&json!("orders"), &json!(200))
    );
    assert_eq!(
        (&fields["azure.request_id"], &fields["azure.attempts"]),
        (&json!("r-1"), &json!(2))
    );
    assert!(
        fields["duration_ms"].is_u64() && fields.get("azure.correlation_id").is_none(),
        "{fields}"
    );
}
