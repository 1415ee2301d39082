//! Policy files: new ones are used; broken ones are quarantined and affect no other policy.

use crate::fixtures::{event, reference};
use crate::harness::field;
use crate::setup::Setup;

fn two_apps() -> Setup {
    Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .site("shop", &format!("OTHER = \"{}\"", reference("other")))
}

#[tokio::test]
async fn a_policy_named_like_the_secret_is_used_without_any_configuration() {
    let setup = two_apps();
    std::fs::copy(
        setup.policies().join("pin.wasm"),
        setup.policies().join("SQL.wasm"),
    )
    .unwrap();
    let app = setup.start().await;
    let version = app.rotate_and_settle("sql").await;
    let line = app.verdicts().pop().unwrap();
    assert_eq!(
        (field(&line, "policy.name"), field(&line, "verdict")),
        ("SQL", "verified")
    );
    assert_eq!(field(&line, "policy.digest").len(), 64);
    assert!(app.settings("orders")["SQL"].ends_with(&format!("/{version})")));
}

#[tokio::test]
async fn a_file_that_is_added_while_the_handler_is_stopped_is_used_at_the_next_start() {
    let app = two_apps().start().await;
    app.rotate_and_settle("sql").await;
    assert_eq!(
        field(&app.verdicts().pop().unwrap(), "policy.name"),
        "follow"
    );

    let policies = app.folder.path().join("policies");
    std::fs::copy(policies.join("pin.wasm"), policies.join("sql.wasm")).unwrap();
    app.azure.functions_host.kill_handler();
    app.until("the restart", |app| {
        app.azure.functions_host.restarts() == 1
    })
    .await;
    app.rotate_and_settle("sql").await;
    assert_eq!(
        field(&app.verdicts().pop().unwrap(), "policy.name"),
        "sql",
        "{}",
        app.log()
    );
}

#[tokio::test]
async fn a_broken_file_is_named_in_the_log_and_harms_nothing() {
    let app = two_apps()
        .policy_file("broken.wasm", b"this is no WebAssembly")
        .policy_file("empty.wasm", b"")
        .start()
        .await;
    let quarantined = |name: &str| {
        app.lines().iter().any(|line| {
            field(line, "policy.name") == name && field(line, "message").contains("quarantined")
        })
    };
    app.until("the quarantine", |_| {
        quarantined("broken") && quarantined("empty")
    })
    .await;
    app.rotate_and_finish("sql").await;
    assert_eq!(app.outcome("orders").0, "refreshed", "{}", app.log());
}

/// A component of 1 MB that takes the compiler minutes: each local variable lives through each loop.
fn compile_bomb() -> Vec<u8> {
    const LOCALS: usize = 2_000;
    let each = |what: &str, after: &str| {
        let lines = (0..LOCALS).map(|number| format!("{what} {number}{after}\n"));
        lines.collect::<String>()
    };
    let begin = each("i32.const 1 local.set", "");
    let loops = "loop local.get 0 br_if 0 end\n".repeat(140_000);
    let end = each("local.get", " drop");
    let locals = "i32 ".repeat(LOCALS);
    let text = format!("(component (core module (func (local {locals}) {begin}{loops}{end})))");
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn a_file_that_takes_the_compiler_minutes_costs_ten_seconds_and_not_the_host() {
    let app = two_apps()
        .policy_file("bomb.wasm", &compile_bomb())
        .start()
        .await;
    app.rotate_and_finish("sql").await;
    assert_eq!(app.outcome("orders").0, "refreshed", "{}", app.log());
    let is_refused = |line: &serde_json::Map<String, serde_json::Value>| {
        field(line, "policy.name") == "bomb"
            && field(line, "message").contains("was not compiled within 8 s of processor time")
    };
    app.until("the quarantine", |app| app.lines().iter().any(is_refused))
        .await;
    assert_eq!(app.azure.functions_host.restarts(), 0);
}

#[tokio::test]
async fn events_of_a_broken_policy_are_kept_and_others_are_handled() {
    let dead_letters = tempfile::tempdir().unwrap();
    let folder = dead_letters.path().to_owned();
    let setup = two_apps()
        .policy_file("sql.wasm", b"\0asm")
        .with(move |options| {
            options.event_grid.clock = 1_000_000.0;
            options.event_grid.dead_letter = Some(folder);
        });
    let app = setup.start().await;
    app.rotate_and_settle("sql").await;
    let line = app.verdicts().pop().unwrap();
    assert_eq!(field(&line, "verdict"), "failed");
    assert!(
        field(&line, "message").contains("policy `sql` is quarantined: "),
        "{}",
        app.log()
    );
    assert!(app.azure.event_grid.deliveries().len() > 1);
    assert_eq!(app.azure.event_grid.dead_letters().len(), 1);

    app.rotate_and_finish("other").await;
    assert_eq!(app.outcome("shop").0, "refreshed", "{}", app.log());
}

#[tokio::test]
async fn an_endless_loop_ends_as_a_failure_of_its_own_rotation() {
    let app = two_apps().scripted("loop", "").start().await;
    app.rotate("sql");
    app.rotate("other");
    app.settled().await;
    let (verdict, message) = app.outcome("orders");
    assert_eq!(verdict, "failed");
    assert!(
        message.contains("did not decide within 500 ms"),
        "{message}"
    );
    app.reconcile().await;
    assert_eq!(app.outcome("shop").0, "refreshed", "{}", app.log());
}

#[tokio::test]
async fn without_any_policy_it_starts_and_events_are_kept() {
    let setup = two_apps().with(|options| options.event_grid.clock = 1_000_000.0);
    std::fs::remove_dir_all(setup.policies()).unwrap();
    let app = setup.start().await;
    app.rotate_and_settle("sql").await;
    let line = app.verdicts().pop().unwrap();
    assert!(
        field(&line, "message").starts_with("there is no policy `follow`"),
        "{}",
        app.log()
    );
    assert!(app.azure.event_grid.deliveries().len() > 1);
}

#[tokio::test]
async fn a_policy_with_a_generous_limit_does_not_delay_the_response() {
    let rule = "answer_within_ms = 4000\n[[rotation]]\nsecret = \"sql\"\npolicy = \"scripted\"\n\
                parameters = { script = \"loop\" }\nlimits = { time_ms = 10000 }";
    let app = two_apps()
        .with_scripted_policy_as("scripted")
        .configured(rule)
        .start()
        .await;
    let version = app.azure.cloud.newest_version("contoso-kv", "sql").unwrap();
    let invocation = app.invoke(&event("e", "sql", &version)).await;
    assert!(invocation.outcome.is_ok(), "{:?}", invocation.outcome);
    let line = app.verdicts().pop().unwrap();
    assert_eq!(
        field(&line, "message"),
        "the queue of the app took all the time of this invocation; keyrelay tries the app again in \
         15 s"
    );
}

#[tokio::test]
async fn a_missing_policy_is_named_in_the_log_and_in_the_verdict() {
    let rule = "[[rotation]]\nsecret = \"sql\"\npolicy = \"missing\"";
    let app = two_apps()
        .configured(rule)
        .with(|options| options.event_grid.clock = 1_000_000.0)
        .start()
        .await;
    let is_logged = |text: &str| {
        app.lines()
            .iter()
            .any(|line| field(line, "message").starts_with(text))
    };
    app.until("the warning at the start", |_| {
        is_logged("keyrelay.toml: rotation[0] will fail: there is no policy")
    })
    .await;
    app.rotate_and_settle("sql").await;
    let line = app.verdicts().pop().unwrap();
    let message =
        "there is no policy `missing`: put `missing.wasm` into `policies/` (there are follow, pin)";
    assert_eq!(field(&line, "message"), message);
}
