//! The app of the demonstration: every second it sends the time to the telemetry sink that its setting names.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;

/// How often the time is sent.
const EVERY: Duration = Duration::from_secs(1);

/// Runs until it is killed, as an app on Azure does when its settings change.
pub(super) async fn run() -> anyhow::Result<()> {
    // Read once: an app sees new settings only when it starts anew.
    let key = variable("APPINSIGHTS_INSTRUMENTATIONKEY")?;
    let endpoint = variable("TELEMETRY_ENDPOINT")?;
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(2))
        .build()?;
    loop {
        let time = jiff::Timestamp::now().to_string();
        let line = json!({ "name": "AppTraces", "time": time, "iKey": key, "data": { "baseData": { "message": time } } });
        // A lost line is a lost line, as with real telemetry.
        let _ = client
            .post(format!("{endpoint}/v2/track"))
            .json(&line)
            .send()
            .await;
        tokio::time::sleep(EVERY).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the app's settings are its environment"
)]
fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("the app has no setting {name}"))
}
