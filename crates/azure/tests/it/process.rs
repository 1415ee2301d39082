//! Processes for tests that need their own environment or must not share global state with other
//! tests.

use std::process::Stdio;
use std::time::Duration;

/// Runs one test of this binary (`module::test`) in a process with these variables and waits for
/// its success.
pub(crate) async fn run_in_own_process(test: &str, variables: &[(&str, &str)]) {
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(180), output)
        .await
        .unwrap()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
}
