//! Kills of the handler, and the wait until it is gone.

use std::process::Command;

use keyrelay_local_azure::functions_host::{FunctionsHost, HandlerStatus};
use url::Url;

use crate::handler_app::{AppFolder, client, eventually, start};

/// Whether the process exists, which includes a zombie.
fn exists(pid: u32) -> bool {
    Command::new("sh")
        .args(["-c", &format!("kill -0 {pid} 2>&-")])
        .status()
        .unwrap()
        .success()
}

fn running(host: &FunctionsHost) -> (u32, Url) {
    match host.status() {
        HandlerStatus::Running { pid, .. } => (pid, host.handler_url().unwrap()),
        status => panic!("{status}"),
    }
}

#[tokio::test]
async fn the_process_is_gone_and_reaped_afterwards() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let (pid, url) = running(&host);
    assert!(exists(pid));
    host.handler_kill(0).unwrap().killed().await;
    assert!(!exists(pid));
    assert!(
        client()
            .get(url)
            .send()
            .await
            .is_err_and(|error| error.is_connect())
    );
    eventually("it is restarted", || (host.restarts() == 1).then_some(())).await;
    assert!(
        matches!(host.wait_while_starting().await, HandlerStatus::Running { pid: new, .. } if new != pid)
    );
}

#[tokio::test]
async fn a_starting_handler_is_killed_too() {
    let app = AppFolder::new();
    let mut options = app.options();
    options
        .environment
        .push(("HANDLER_START".to_owned(), "mute".to_owned()));
    options.max_crashes = 1;
    let host = FunctionsHost::start(options).await.unwrap();
    host.handler_kill(0).unwrap().killed().await;
    let stopped = || Some(host.status()).filter(HandlerStatus::is_final);
    let HandlerStatus::Stopped(reason) = eventually("it is stopped", stopped).await else {
        panic!("{}", host.status())
    };
    assert!(reason.contains("was killed"), "{reason}");
}

#[tokio::test]
async fn concurrent_kills_end_one_process() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let kill = host.handler_kill(0).unwrap();
    let again = kill.clone();
    tokio::join!(kill.killed(), again.killed());
    eventually("it is restarted", || (host.restarts() == 1).then_some(())).await;
    assert!(matches!(
        host.wait_while_starting().await,
        HandlerStatus::Running { .. }
    ));
    assert_eq!(host.restarts(), 1);
}

#[tokio::test]
async fn killing_a_stopped_handler_returns() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let kill = host.handler_kill(0).unwrap();
    host.stop().await;
    kill.killed().await;
    drop(host);
    kill.killed().await;
}
