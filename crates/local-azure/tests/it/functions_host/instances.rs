//! Several instances of one app.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use keyrelay_local_azure::functions_host::{
    FunctionsHost, FunctionsHostOptions, HandlerStatus, InvocationFailure, LogSource,
    NoSuchInstance,
};
use serde_json::{Value, json};

use crate::handler_app::{AppFolder, client, event, eventually, start};

fn several(app: &AppFolder, instances: usize) -> FunctionsHostOptions {
    let mut options = app.options();
    options.instances = instances;
    options
}

/// The instances on which consecutive invocations ran.
async fn instances_of_runs(host: &FunctionsHost, count: usize) -> Vec<Option<usize>> {
    let mut instances_of_runs = Vec::new();
    for _ in 0..count {
        let invocation = host.invoke("Event", &event("echo")).await.unwrap();
        assert!(invocation.outcome.is_ok(), "{invocation:?}");
        instances_of_runs.push(invocation.instance);
    }
    instances_of_runs
}

fn pid_of(host: &FunctionsHost, instance: usize) -> u32 {
    match host.status_of(instance).unwrap() {
        HandlerStatus::Running { pid, .. } => pid,
        status => panic!("instance {instance} is {status}"),
    }
}

fn stopped(host: &FunctionsHost, instance: usize) -> Option<()> {
    matches!(host.status_of(instance).unwrap(), HandlerStatus::Stopped(_)).then_some(())
}

#[tokio::test]
async fn invocations_are_distributed_round_robin() {
    let app = AppFolder::new();
    let host = start(several(&app, 3)).await;
    assert_eq!(
        instances_of_runs(&host, 5).await,
        [Some(0), Some(1), Some(2), Some(0), Some(1)]
    );
}

#[tokio::test]
async fn each_instance_has_an_id_a_port_and_a_process_of_its_own() {
    let app = AppFolder::new();
    let host = start(several(&app, 3)).await;
    let mut ids = BTreeSet::new();
    for instance in 0..3 {
        let invocation = host.invoke("Event", &event("echo")).await.unwrap();
        let environment = &invocation.outcome.unwrap()["ReturnValue"]["environment"];
        let port = host.handler_url_of(instance).unwrap().port().unwrap();
        assert_eq!(
            environment["FUNCTIONS_CUSTOMHANDLER_PORT"],
            json!(port.to_string())
        );
        ids.insert(
            environment["WEBSITE_INSTANCE_ID"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(ids.len(), 3);
    assert_eq!(
        (0..3)
            .map(|instance| pid_of(&host, instance))
            .collect::<BTreeSet<_>>()
            .len(),
        3
    );
}

#[tokio::test]
async fn an_instance_keeps_its_id_after_a_restart() {
    let app = AppFolder::new();
    let host = start(app.options()).await;
    let id = async || {
        let response = host
            .invoke("Event", &event("echo"))
            .await
            .unwrap()
            .outcome
            .unwrap();
        response["ReturnValue"]["environment"]["WEBSITE_INSTANCE_ID"].clone()
    };
    let before = id().await;
    host.handler_kill(0).unwrap().killed().await;
    assert_eq!(id().await, before);
    assert_eq!(before.as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn an_instance_that_is_not_running_is_skipped() {
    let app = AppFolder::new();
    let mut options = several(&app, 3);
    options.max_crashes = 1;
    let host = start(options).await;
    host.kill_handler_of(1).unwrap();
    eventually("it is stopped", || stopped(&host, 1)).await;
    assert_eq!(
        instances_of_runs(&host, 4).await,
        [Some(0), Some(2), Some(0), Some(2)]
    );
    assert_eq!((host.handler_url_of(1), host.restarts()), (None, 0));
    assert!(matches!(host.status(), HandlerStatus::Running { .. }));
}

#[tokio::test]
async fn an_invocation_fails_without_a_running_instance() {
    let app = AppFolder::new();
    let mut options = several(&app, 2);
    options.max_crashes = 1;
    let host = start(options).await;
    for instance in 0..2 {
        host.kill_handler_of(instance).unwrap();
        eventually("it is stopped", || stopped(&host, instance)).await;
    }
    let invocation = host.invoke("Event", &event("echo")).await.unwrap();
    assert!(
        matches!(
            invocation.outcome,
            Err(InvocationFailure::NoHandler(HandlerStatus::Stopped(_)))
        ),
        "{invocation:?}"
    );
    assert_eq!(invocation.instance, None);
    let status = client()
        .post(host.event_grid_endpoint("Event"))
        .body("[]")
        .send()
        .await
        .unwrap()
        .status();
    assert_eq!(status, 503);
}

#[tokio::test]
async fn an_invocation_waits_for_the_first_ready_instance() {
    let app = AppFolder::new();
    // The handlers are not ready, because the start did not wait.
    let host = FunctionsHost::start(several(&app, 2)).await.unwrap();
    assert_eq!(host.status(), HandlerStatus::Starting);
    assert!(
        host.invoke("Event", &event("echo"))
            .await
            .unwrap()
            .outcome
            .is_ok()
    );
}

#[tokio::test]
async fn an_invocation_waits_no_longer_than_the_start_timeout() {
    let app = AppFolder::new();
    let mut options = several(&app, 2);
    options
        .environment
        .push(("HANDLER_START".to_owned(), "mute".to_owned()));
    options.start_timeout = Duration::from_millis(300);
    let host = FunctionsHost::start(options).await.unwrap();
    let outcome = host.invoke("Event", &event("echo")).await.unwrap().outcome;
    assert!(
        matches!(outcome, Err(InvocationFailure::NoHandler(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_crash_does_not_affect_other_instances() {
    let app = AppFolder::new();
    let host = start(several(&app, 2)).await;
    let (first, second) = (event("hang"), event("print still here"));
    let hanging = host.invoke("Event", &first);
    tokio::pin!(hanging);
    let printed = || {
        host.log()
            .lines()
            .iter()
            .find(|line| line.text == "out: hanging")
            .map(|line| line.instance)
    };
    let instance = tokio::select! {
        _ = &mut hanging => panic!("it got a response"),
        instance = eventually("it hangs", printed) => instance,
    };
    assert_eq!(instance, Some(0));
    let other = pid_of(&host, 1);
    host.handler_kill(0).unwrap().killed().await;
    let failed = hanging.await.unwrap();
    assert!(
        matches!(failed.outcome, Err(InvocationFailure::Connection(_))),
        "{failed:?}"
    );
    assert_eq!(failed.instance, Some(0));
    let unharmed = host.invoke("Event", &second).await.unwrap();
    assert_eq!(
        (unharmed.instance, unharmed.outcome.is_ok()),
        (Some(1), true)
    );
    assert_eq!(pid_of(&host, 1), other);
}

#[tokio::test]
async fn restarts_are_counted_together() {
    let app = AppFolder::new();
    let mut options = several(&app, 2);
    options.max_crashes = 2;
    let host = start(options).await;
    host.kill_handler();
    host.kill_handler_of(1).unwrap();
    // Each instance counts its own crashes. Two crashes of one instance would have stopped it.
    eventually("both are restarted", || {
        (host.restarts() == 2).then_some(())
    })
    .await;
    host.wait_while_starting().await;
    assert!(pid_of(&host, 0) != pid_of(&host, 1));
}

#[tokio::test]
async fn an_unknown_instance_is_an_error() {
    let app = AppFolder::new();
    let host = FunctionsHost::start(several(&app, 2)).await.unwrap();
    assert_eq!(host.status_of(2), Err(NoSuchInstance(2)));
    assert_eq!(host.kill_handler_of(2), Err(NoSuchInstance(2)));
    assert_eq!(host.handler_kill(2).unwrap_err(), NoSuchInstance(2));
    assert_eq!(host.handler_url_of(2), None);
}

#[tokio::test]
async fn log_lines_name_their_instance() {
    let app = AppFolder::new();
    let host = start(several(&app, 2)).await;
    host.invoke("Event", &event("logs from the first"))
        .await
        .unwrap();
    host.invoke("Event", &event("print from the second"))
        .await
        .unwrap();
    let line = |text: &str| {
        host.log()
            .lines()
            .into_iter()
            .find(|line| line.text.starts_with(text))
    };
    let printed = eventually("it is printed", || line("out: from the second")).await;
    assert_eq!(
        (&printed.source, printed.instance),
        (&LogSource::Console, Some(1))
    );
    assert!(
        printed
            .to_string()
            .ends_with("out: from the second (instance 1)"),
        "{printed}"
    );
    let logged = line("from the first").unwrap();
    assert_eq!(logged.instance, Some(0));
    let id = logged.invocation_id.as_ref().unwrap();
    assert!(
        logged
            .to_string()
            .ends_with(&format!("from the first (invocation {id})")),
        "{logged}"
    );
    assert_eq!(
        (
            line("Executing").unwrap().instance,
            line("Executed").unwrap().instance
        ),
        (None, Some(0))
    );
}

#[tokio::test]
async fn a_timer_runs_on_one_instance_after_the_other() {
    let app = AppFolder::new();
    let host = start(several(&app, 2)).await;
    let mut instances_of_runs = Vec::new();
    for _ in 0..3 {
        instances_of_runs.push(host.run_timer("Timer").await.unwrap().instance);
        // Events and timers have separate rounds.
        host.invoke("Event", &event("echo")).await.unwrap();
    }
    assert_eq!(instances_of_runs, [Some(0), Some(1), Some(0)]);
}

#[tokio::test]
async fn a_timer_runs_on_one_instance_at_a_time() {
    let app = AppFolder::new();
    let mut options = several(&app, 2);
    options
        .environment
        .push(("HANDLER_TIMER".to_owned(), "hang".to_owned()));
    let host = start(options).await;
    let mut runs: FuturesUnordered<_> = (0..2).map(|_| host.run_timer("Timer")).collect();
    let count = |text: &str| {
        host.log()
            .lines()
            .iter()
            .filter(|line| line.text.starts_with(text))
            .count()
    };
    let hanging = async |times| {
        eventually("it hangs", || {
            (count("out: hanging") == times).then_some(())
        })
        .await
    };
    tokio::select! {
        _ = runs.next() => panic!("it got a response"),
        () = hanging(1) => {}
    }
    assert_eq!(count("Executing"), 1);
    host.kill_handler();
    assert!(runs.next().await.unwrap().unwrap().outcome.is_err());
    tokio::select! {
        _ = runs.next() => panic!("it got a response"),
        () = hanging(2) => {}
    }
    assert_eq!(count("Executing"), 2);
}

#[tokio::test]
async fn a_manual_timer_run_uses_round_robin() {
    let app = AppFolder::new();
    let host = start(several(&app, 2)).await;
    let url = host.url().join("admin/functions/Timer").unwrap();
    for _ in 0..2 {
        let request = client()
            .post(url.clone())
            .header("x-functions-key", host.master_key());
        let request = request
            .header("content-type", "application/json")
            .body(r#"{"input": ""}"#);
        assert_eq!(request.send().await.unwrap().status(), 202);
    }
    let runs = eventually("both have run", || {
        Some(host.invocations()).filter(|runs| runs.len() == 2)
    })
    .await;
    let instances: BTreeSet<_> = runs.iter().map(|run| run.instance).collect();
    assert_eq!(instances, [Some(0), Some(1)].into());
    let timers = runs
        .iter()
        .map(|run| &run.outcome.as_ref().unwrap()["ReturnValue"]["body"]["Data"]["timer"]);
    assert!(timers.clone().all(Value::is_object), "{timers:?}");
}

#[tokio::test]
async fn stop_ends_all_instances() {
    let app = AppFolder::new();
    let host = start(several(&app, 2)).await;
    let urls = [0, 1].map(|instance| host.handler_url_of(instance).unwrap());
    host.stop().await;
    for url in urls {
        assert!(
            client()
                .get(url)
                .send()
                .await
                .is_err_and(|error| error.is_connect())
        );
    }
}
