//! Coalescing: many events for one app cause one change of the app.

use std::fmt::Write as _;
use std::time::Duration;

use futures::future::join_all;
use keyrelay_local_azure::{Effect, Fault, Intercept, Moment, ResolveStatus, Service, Then};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::fixtures::{PLANTED, VAULT, event, reference};
use crate::harness::{Harness, field};
use crate::setup::Setup;

const PIN: &str = "[[rotation]]\nsecret = \"*\"\npolicy = \"pin\"\n";

fn count(app: &Harness, verdict: &str) -> usize {
    app.verdicts()
        .iter()
        .filter(|line| field(line, "verdict") == verdict)
        .count()
}

#[tokio::test]
async fn a_thousand_versions_of_one_secret_are_at_most_three_writes() {
    let app = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .configured(PIN)
        .start()
        .await;
    let versions: Vec<String> = (0..1_000).map(|_| app.rotate("sql")).collect();
    app.settled().await;
    assert_eq!(
        app.active_version("orders", "SQL"),
        versions.last().cloned(),
        "{}",
        app.log()
    );
    assert!(app.writes() <= 3, "{} writes", app.writes());
    let runs = app.runs();
    for version in &versions {
        assert!(
            runs.iter()
                .any(|run| run["event"]["version"] == version.as_str()),
            "{version} has no record"
        );
    }
}

#[tokio::test]
async fn the_same_event_a_thousand_times_is_one_write() {
    let app = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .configured(PIN)
        .start()
        .await;
    let version = app.azure.cloud.newest_version(VAULT, "sql").unwrap();
    let event = event("again", "sql", &version);
    let responses = join_all((0..1_000).map(|_| app.invoke(&event))).await;
    assert!(responses.iter().all(|response| response.outcome.is_ok()));
    assert_eq!(app.active_version("orders", "SQL"), Some(version));
    assert_eq!(app.writes(), 1);
}

#[tokio::test]
async fn a_hundred_secrets_in_one_batch_are_at_most_three_writes_and_a_hundred_verdicts() {
    let mut settings = format!("TEXT = \"{PLANTED}text\"");
    for number in 0..100 {
        write!(
            settings,
            ", S{number} = \"{}\"",
            reference(&format!("secret-{number}"))
        )
        .unwrap();
    }
    let setup = Setup::new().site("orders", &settings).configured(PIN);
    let app = setup
        .with(|options| options.max_events_per_batch = 100)
        .start()
        .await;
    let versions: Vec<String> = (0..100)
        .map(|number| app.rotate(&format!("secret-{number}")))
        .collect();
    app.settled().await;
    for (number, version) in versions.iter().enumerate() {
        let setting = format!("S{number}");
        assert_eq!(
            app.active_version("orders", &setting).as_ref(),
            Some(version),
            "{setting}"
        );
        assert!(app.settings("orders")[&setting].ends_with(&format!("/{version})")));
    }
    assert_eq!(app.settings("orders")["TEXT"], format!("{PLANTED}text"));
    assert!(app.writes() <= 3, "{} writes", app.writes());
    assert_eq!(count(&app, "verified"), 100, "{}", app.log());
}

#[tokio::test]
async fn one_refusal_does_not_affect_the_rest_of_the_batch() {
    let rules = "[[rotation]]\nsecret = \"sql\"\npolicy = \"scripted\"\nparameters = { script = \"set OTHER text no\" }\n";
    let settings = format!(
        "SQL = \"{}\", O = \"{}\"",
        reference("sql"),
        reference("other")
    );
    let app = Setup::new()
        .site("orders", &settings)
        .with_scripted_policy_as("scripted")
        .configured(&format!("{rules}{PIN}"))
        .start()
        .await;
    let versions =
        ["sql", "other"].map(|secret| app.azure.cloud.newest_version(VAULT, secret).unwrap());
    let events = [
        event("a", "sql", &versions[0]),
        event("b", "other", &versions[1]),
    ];
    join_all(events.iter().map(|event| app.invoke(event))).await;
    assert_eq!(
        (count(&app, "refused"), count(&app, "verified")),
        (1, 1),
        "{}",
        app.log()
    );
    assert!(app.settings("orders")["O"].ends_with(&format!("/{})", versions[1])));
}

/// Another writer's change after our second read. The third read, which is sent together with the
/// write, shows it.
fn their_write() -> Effect {
    Effect::Interfere {
        setting: "THEIRS".to_owned(),
        value: format!("{PLANTED}theirs").into(),
    }
}

#[tokio::test]
async fn a_change_right_before_the_write_is_restored() {
    let app = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .configured(PIN)
        .start()
        .await;
    app.azure
        .cloud
        .switch_on(Fault::new(Service::ResourceManager, their_write()).times(1));
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    assert_eq!(app.settings("orders")["THEIRS"], format!("{PLANTED}theirs"));
}

#[tokio::test]
async fn with_a_busy_second_writer_no_change_is_lost() {
    let app = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .configured(PIN)
        .start()
        .await;
    let hammering = async {
        for number in 0..400 {
            app.azure
                .cloud
                .edit_settings("orders", |settings| {
                    settings.insert(format!("T{number}"), format!("{PLANTED}{number}").into());
                })
                .unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(7)).await;
        }
    };
    let rotating = async {
        for _ in 0..5 {
            app.rotate_and_settle("sql").await;
        }
    };
    futures::join!(hammering, rotating);
    let version = app.rotate_and_settle("sql").await;
    let settings = app.settings("orders");
    assert!(
        settings["SQL"].ends_with(&format!("/{version})")),
        "{}",
        app.log()
    );
    let lost: Vec<usize> = (0..400)
        .filter(|number| !settings.contains_key(&format!("T{number}")))
        .collect();
    assert!(lost.is_empty(), "lost {lost:?}\n{}", app.log());
}

/// Stops the handler's next write of settings after it was carried out. The receiver tells when, and
/// the sender lets the response go.
fn stop_at_write(app: &Harness) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
    let write = Intercept::new(Service::ResourceManager, Moment::CarriedOut)
        .method("PUT")
        .path("config/appsettings");
    let (met, is_met) = oneshot::channel();
    let (go, may_go) = oneshot::channel();
    app.azure.cloud.intercept(write, move || async move {
        let _ = met.send(());
        let _ = may_go.await;
        Then::GoOn
    });
    (is_met, go)
}

#[tokio::test]
async fn a_written_patch_stays_on_record_when_its_policy_turns_to_refresh() {
    let pinned = |secret: &str| {
        format!("@Microsoft.KeyVault(SecretUri=https://{VAULT}.vault.azure.net/secrets/{secret}/1)")
    };
    let settings = format!(
        "PINNED = \"{}\", FREE = \"{}\", O = \"{}\"",
        pinned("sql"),
        reference("sql"),
        pinned("other")
    );
    let app = Setup::new().site("orders", &settings).start().await;
    let versions =
        ["sql", "other"].map(|secret| app.azure.cloud.newest_version(VAULT, secret).unwrap());
    let events = [
        event("a", "sql", &versions[0]),
        event("b", "other", &versions[1]),
    ];
    let (first_write, go_on) = stop_at_write(&app);
    let both = join_all(events.iter().map(|event| app.invoke(event)));
    let interfering = async {
        first_write.await.unwrap();
        // Another writer reverts one of the two settings: `follow` has nothing left to patch for
        // the other secret, and wants a refresh.
        let former = pinned("other");
        app.azure
            .cloud
            .edit_settings("orders", |settings| {
                settings.insert("O".to_owned(), former.into());
            })
            .unwrap();
        let (second_write, go_on_again) = stop_at_write(&app);
        go_on.send(()).unwrap();
        second_write.await.unwrap();
        let kept: String = app
            .pending()
            .iter()
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect();
        go_on_again.send(()).unwrap();
        kept
    };
    let (_, kept) = futures::join!(both, interfering);
    assert!(
        kept.contains("\"PINNED\"") && kept.contains("\"O\""),
        "{kept}"
    );
    app.reconcile().await;
    // The first is pending, until the reference without a version is refreshed again and checked.
    let verdicts = ["pending", "refreshed", "verified"].map(|verdict| count(&app, verdict));
    assert_eq!(verdicts, [2, 1, 1], "{}", app.log());
    for (setting, version) in [("PINNED", &versions[0]), ("O", &versions[1])] {
        assert!(app.settings("orders")[setting].ends_with(&format!("/{version})")));
    }
    assert!(app.pending().is_empty());
}

#[tokio::test]
async fn each_rotation_of_a_batch_shows_its_own_reason() {
    let settings = format!(
        "S = \"{}\", O = \"{}\"",
        reference("sql"),
        reference("other")
    );
    let app = Setup::new()
        .site("orders", &settings)
        .configured(&format!("answer_within_ms = 3000\n{PIN}"))
        .start()
        .await;
    for (setting, status) in [
        ("S", ResolveStatus::AccessToKeyVaultDenied),
        ("O", ResolveStatus::SecretVersionNotFound),
    ] {
        let effect = Effect::ReferenceStatus { status };
        let path = format!("appsettings/{setting}$");
        app.azure
            .cloud
            .switch_on(Fault::new(Service::ResourceManager, effect).path(&path));
    }
    let versions =
        ["sql", "other"].map(|secret| app.azure.cloud.newest_version(VAULT, secret).unwrap());
    let events = [
        event("a", "sql", &versions[0]),
        event("b", "other", &versions[1]),
    ];
    join_all(events.iter().map(|event| app.invoke(event))).await;
    let runs = app.runs();
    let message = |secret: &str| {
        let of_secret = |run: &&Value| run["event"]["name"] == secret;
        let run = runs.iter().rfind(of_secret).unwrap();
        run["rotations"][0]["message"].as_str().unwrap().to_owned()
    };
    let (sql, other) = (message("sql"), message("other"));
    assert!(sql.contains("AccessToKeyVaultDenied"), "{sql}");
    assert!(!sql.contains("SecretVersionNotFound"), "{sql}");
    assert!(other.contains("SecretVersionNotFound"), "{other}");
    assert!(!other.contains("AccessToKeyVaultDenied"), "{other}");
}

/// An app with one reference that is pinned and one that follows its secret. The lines come before the
/// rule.
async fn pinned_and_following(configuration: &str) -> Harness {
    let settings = format!(
        "PINNED = \"{}\", FOLLOWING = \"{}\"",
        reference("sql"),
        reference("other")
    );
    let rule = "[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"\n";
    let setup = Setup::new().site("orders", &settings);
    let setup = setup.configured(&format!("{configuration}{rule}"));
    setup.start().await
}

#[tokio::test]
async fn a_refused_write_is_no_refresh_for_the_rest_of_the_batch() {
    let app = pinned_and_following("").await;
    let refused = Fault::new(Service::ResourceManager, Effect::status(400, "BadRequest"));
    let refused = refused.method("PUT").path("config/appsettings");
    app.azure.cloud.switch_on(refused);
    let version = |secret| app.azure.cloud.newest_version(VAULT, secret).unwrap();
    let events = ["sql", "other"].map(|secret| event(secret, secret, &version(secret)));
    join_all(events.iter().map(|event| app.invoke(event))).await;
    assert_eq!(app.requests("POST", "/refresh"), 1, "{}", app.log());
    app.reconcile().await;
    let verdicts = ["failed", "refreshed"].map(|verdict| count(&app, verdict));
    assert_eq!(verdicts, [1, 1], "{}", app.log());
    assert_eq!(app.requests("POST", "/refresh"), 2, "{}", app.log());
}

#[tokio::test]
async fn a_write_that_is_not_sent_is_no_refresh() {
    let app = pinned_and_following("answer_within_ms = 4000\n").await;
    let cloud = &app.azure.cloud;
    // The settings are read again right before the write.
    let again = Intercept::new(Service::ResourceManager, Moment::Arrived);
    let again = again.method("POST").path("appsettings/list").nth(2);
    let interception = cloud.intercept(again, || async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        Then::Drop
    });
    let version = |secret| cloud.newest_version(VAULT, secret).unwrap();
    let events = ["sql", "other"].map(|secret| event(secret, secret, &version(secret)));
    join_all(events.iter().map(|event| app.invoke(event))).await;
    assert_eq!(app.writes(), 0, "{}", app.log());
    let sent = app.requests("POST", "/refresh");
    app.until("the release of the lease", |app| {
        let state = app.app_state("orders");
        let recorded = &state["refreshes"]["by_secret"]["contoso-kv.vault.azure.net/other"];
        recorded[version("other")]["refreshes"]
            .as_array()
            .is_some_and(|refreshes| refreshes.len() == sent)
    })
    .await;
    app.until("the end of the interception", |_| interception.has_struck())
        .await;
    app.make_due();
    app.reconcile().await;
    assert!(
        app.pending().is_empty(),
        "{:?}\n{}",
        app.pending(),
        app.log()
    );
    assert_eq!(app.writes(), 1, "{}", app.log());
}
