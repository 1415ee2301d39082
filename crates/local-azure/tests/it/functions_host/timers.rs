//! The clock of timers.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::handler_app::{AppFolder, eventually, start};

#[tokio::test]
async fn a_schedule_runs_on_a_faster_clock() {
    let app = AppFolder::new();
    let timer = json!({
        "type": "timerTrigger", "name": "timer", "direction": "in", "schedule": "0 * * * * *",
    });
    app.write("Timer/function.json", &json!({ "bindings": [timer] }));
    let mut options = app.options();
    options.clock = 300.0;
    let host = start(options).await;
    let runs = eventually("three runs", || {
        let runs = host.invocations();
        (runs.len() >= 3).then_some(runs)
    })
    .await;
    assert!(runs.iter().all(|run| run.function == "Timer"));
    // A minute of the schedule is 200 ms.
    let watched = Instant::now();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let more = host.invocations().len() - runs.len();
    let most = watched.elapsed().as_millis() / 200 + 2;
    assert!(more as u128 <= most, "{more} runs in half a second");
}
