//! The index: an event reads only the apps that use its secret, however many others the scope has.

use std::fs;

use keyrelay_local_azure::{Effect, Fault, Intercept, Moment, Service, Then};
use tokio::sync::oneshot;

use crate::fixtures::reference;
use crate::harness::{Harness, files_below};
use crate::setup::Setup;

/// `users` apps that use the secret `sql`, among `others` that use another one.
fn fleet(users: usize, others: usize) -> Setup {
    let with = |setup: Setup, name: String, secret: &str| {
        let settings = format!("SECRET = \"{}\"", reference(secret));
        setup.site(&name, &settings)
    };
    let setup = (0..users).fold(Setup::new(), |setup, number| {
        with(setup, format!("user-{number}"), "sql")
    });
    (0..others)
        .fold(setup, |setup, number| {
            with(setup, format!("other-{number}"), "mail")
        })
        .ideal()
}

fn shards(app: &Harness) -> Vec<std::path::PathBuf> {
    let files = files_below(&app.store().join("index"));
    let is_shard = |file: &std::path::PathBuf| !file.ends_with("state.json");
    files.into_iter().filter(is_shard).collect()
}

#[tokio::test]
async fn an_event_reads_only_the_apps_that_use_its_secret() {
    let app = fleet(2, 10).start().await;
    app.reconcile_all().await;
    let (lists, reads) = (app.lists(), app.requests("GET", "/sites"));
    app.rotate_and_settle("sql").await;
    for user in ["user-0", "user-1"] {
        assert_eq!(app.outcome(user).0, "verified", "{}", app.log());
    }
    assert_eq!(app.lists(), lists, "a list of sites was read");
    let reads = app.requests("GET", "/sites") - reads;
    assert!(reads <= 4 * 2 + 5, "{reads} reads for two apps");
    assert_eq!(app.azure.event_grid.deliveries().len(), 1);
    // Nobody uses it.
    app.rotate_and_settle("unused").await;
    assert_eq!(app.lists(), lists, "a list of sites was read");
}

#[tokio::test]
async fn the_sweep_after_an_event_finds_an_app_that_has_just_begun_to_use_the_secret() {
    let app = fleet(1, 3).start().await;
    app.reconcile_all().await;
    // Pinned, so that Azure does not resolve it by itself.
    let old = app.azure.cloud.newest_version("contoso-kv", "sql").unwrap();
    let pinned = format!(
        "@Microsoft.KeyVault(SecretUri=https://contoso-kv.vault.azure.net/secrets/sql/{old})"
    );
    let begin = |settings: &mut std::collections::BTreeMap<String, _>| {
        settings.insert("SECRET".to_owned(), pinned.clone().into());
    };
    app.azure.cloud.edit_settings("other-1", begin).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let version = app.rotate_and_settle("sql").await;
    assert_eq!(app.settings("other-1")["SECRET"], pinned);
    app.reconcile().await;
    let settings = app.settings("other-1");
    assert!(settings["SECRET"].contains(&version), "{}", app.log());
    // From now on the event itself reaches it. Versions of one second cannot be ordered.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let lists = app.lists();
    let version = app.rotate_and_settle("sql").await;
    assert_eq!(app.lists(), lists, "a list of sites was read");
    let settings = app.settings("other-1");
    assert!(settings["SECRET"].contains(&version), "{}", app.log());
}

#[tokio::test]
async fn without_its_index_an_event_reads_the_scope_and_says_so() {
    let app = fleet(2, 1).start().await;
    app.reconcile_all().await;
    for damage in [None, Some("{"), Some("{\"format\":9}")] {
        for shard in shards(&app) {
            match damage {
                None => fs::remove_file(&shard).unwrap(),
                Some(damage) => fs::write(&shard, damage).unwrap(),
            }
        }
        let lists = app.lists();
        app.rotate_and_settle("sql").await;
        for user in ["user-0", "user-1"] {
            assert_eq!(app.outcome(user).0, "verified", "{}", app.log());
        }
        assert!(app.lists() > lists);
        let run = app.runs().remove(0);
        let note = run["notes"][0].as_str().unwrap();
        assert!(note.contains("the index cannot be used"), "{note}");
        app.reconcile_all().await;
        let lists = app.lists();
        app.rotate_and_settle("sql").await;
        assert_eq!(app.lists(), lists, "the index is not made again");
    }
}

#[tokio::test]
async fn an_app_that_does_not_exist_any_more_is_no_failure() {
    let app = fleet(2, 0).start().await;
    app.reconcile_all().await;
    let gone = Effect::status(404, "ResourceNotFound");
    let gone = Fault::new(Service::ResourceManager, gone).path("sites/user-1/");
    app.azure.cloud.switch_on(gone);
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("user-0").0, "verified", "{}", app.log());
    assert_eq!(app.outcome("user-1").0, "unchanged", "{}", app.log());
    let known = shards(&app)
        .into_iter()
        .map(|it| fs::read_to_string(it).unwrap());
    let known: String = known.collect();
    assert!(
        known.contains("user-0") && !known.contains("user-1"),
        "{known}"
    );
}

#[tokio::test]
async fn the_hourly_comparison_reads_only_apps_without_the_newest_version() {
    let app = fleet(2, 6).start().await;
    app.reconcile_all().await;
    let reads = app.requests("GET", "configreferences");
    app.compare_again().await;
    assert_eq!(
        app.requests("GET", "configreferences"),
        reads,
        "{}",
        app.log()
    );
    assert!(app.log().contains("; 0 apps compared"), "{}", app.log());
}

#[tokio::test]
async fn a_lost_part_of_the_index_that_nobody_uses_costs_one_sweep() {
    let app = fleet(1, 1).start().await;
    app.reconcile_all().await;
    // The secret `sql` is in another one.
    let lost = app.store().join("index/contoso-kv.vault.azure.net/01.json");
    assert!(!lost.exists());
    fs::write(&lost, "{").unwrap();
    app.compare_again().await;
    let lists = app.lists();
    for _ in 0..3 {
        app.reconcile().await;
    }
    assert_ne!(fs::read(&lost).unwrap(), b"{");
    assert_eq!(app.lists(), lists, "{}", app.log());
    app.rotate_and_settle("sql").await;
    assert_eq!(app.lists(), lists, "a list of sites was read");
    assert_eq!(app.outcome("user-0").0, "verified", "{}", app.log());
}

#[tokio::test]
async fn a_comparison_continues_at_the_app_where_it_was() {
    let app = fleet(3, 1).start().await;
    app.reconcile_all().await;
    let folder = app.store().join("pending/comparison");
    let file = files_below(&folder).remove(0);
    let text = fs::read_to_string(&file).unwrap();
    let mut progress: serde_json::Value = serde_json::from_str(&text).unwrap();
    let scope = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop";
    progress["is_sweep"] = true.into();
    progress["remaining"] = serde_json::json!([{ "scope": scope, "next": null }]);
    progress["after"] = format!("{scope}/providers/microsoft.web/sites/user-0")
        .to_lowercase()
        .into();
    fs::remove_file(&file).unwrap();
    fs::write(folder.join("all--due-0.json"), progress.to_string()).unwrap();
    let reads = |site: &str| app.requests("GET", &format!("/sites/{site}/config"));
    let before = ["other-0", "user-0", "user-1", "user-2"].map(reads);
    app.reconcile().await;
    let after = ["other-0", "user-0", "user-1", "user-2"].map(reads);
    assert_eq!(after[..2], before[..2], "{}", app.log());
    assert!(
        after[2] > before[2] && after[3] > before[3],
        "{}",
        app.log()
    );
}

#[tokio::test]
async fn a_sweep_that_an_event_requests_is_due_until_it_has_ended() {
    let app = fleet(1, 1).start().await;
    app.reconcile_all().await;
    // A list that hangs: the sweep does not end.
    let hanging = Fault::new(Service::ResourceManager, Effect::Hang);
    app.azure
        .cloud
        .switch_on(hanging.path("Microsoft.Web/sites$"));
    app.rotate_and_settle("sql").await;
    assert!(app.store().join("pending/sweep/requested.json").exists());
    let requested = || app.store().join("pending/sweep/requested.json").exists();
    let sweeping = app.reconcile();
    let due = async {
        app.until("the sweep", |_| !requested()).await;
        let file = files_below(&app.store().join("pending/comparison")).remove(0);
        let name = file.display().to_string();
        let due = name.rsplit_once("--due-").unwrap().1;
        let due: i64 = due.trim_end_matches(".json").parse().unwrap();
        assert!(due <= jiff::Timestamp::now().as_millisecond(), "{name}");
        app.azure.cloud.switch_off_faults();
    };
    tokio::join!(sweeping, due);
}

#[tokio::test]
async fn a_smaller_scope_takes_no_app_out_of_the_index() {
    let app = fleet(1, 1).start().await;
    app.reconcile_all().await;
    let shard = shards(&app).into_iter().find(|file| {
        let text = fs::read_to_string(file).unwrap();
        text.contains("\"sql\"")
    });
    let shard = shard.unwrap();
    let text = fs::read_to_string(&shard).unwrap();
    let elsewhere = text.replace("/resourceGroups/shop/", "/resourceGroups/elsewhere/");
    let elsewhere = elsewhere.replace("/resourcegroups/shop/", "/resourcegroups/elsewhere/");
    fs::write(&shard, elsewhere).unwrap();
    app.compare_again().await;
    let text = fs::read_to_string(&shard).unwrap();
    assert!(text.contains("/resourcegroups/elsewhere/"), "{text}");
}

#[tokio::test]
async fn an_app_that_the_sweep_could_not_read_is_read_for_each_event_until_one_can() {
    let app = fleet(2, 1).start().await;
    let away = Effect::status(503, "ServiceUnavailable");
    let away = Fault::new(Service::ResourceManager, away).path("sites/user-1/");
    app.azure.cloud.switch_on(away);
    app.reconcile_all().await;
    app.azure.cloud.switch_off_faults();
    let lists = app.lists();
    app.rotate_and_settle("sql").await;
    for user in ["user-0", "user-1"] {
        assert_eq!(app.outcome(user).0, "verified", "{}", app.log());
    }
    assert_eq!(app.lists(), lists, "a list of sites was read");
    let note = app.runs().pop().unwrap()["notes"][0].to_string();
    assert!(note.contains("1 apps are read"), "{note}");
    // The sweep that the event has requested reads it.
    app.reconcile_all().await;
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("user-1").0, "verified", "{}", app.log());
    let notes = app.runs().pop().unwrap()["notes"].to_string();
    assert_eq!(notes, "null", "{}", app.log());
}

#[tokio::test]
async fn an_app_that_does_not_respond_keeps_no_others_from_being_compared() {
    let app = fleet(2, 60).start().await;
    let hang = Fault::new(Service::ResourceManager, Effect::Hang).path("sites/user-0/");
    app.azure.cloud.switch_on(hang);
    app.reconcile_all().await;
    app.azure.cloud.switch_off_faults();
    assert!(
        app.log().contains("reference statuses of user-0"),
        "{}",
        app.log()
    );
    let state = fs::read_to_string(app.store().join("index/state.json")).unwrap();
    assert!(state.contains("sites/user-0"), "{state}");
    let lists = app.lists();
    app.rotate_and_settle("sql").await;
    for user in ["user-0", "user-1"] {
        assert_eq!(app.outcome(user).0, "verified", "{}", app.log());
    }
    assert_eq!(app.lists(), lists, "a list of sites was read");
}

#[tokio::test]
async fn the_index_has_the_newest_version_with_its_dates_and_what_the_rules_say() {
    let rule = "[[rotation]]\nsecret = \"mail\"\nmode = \"monitor\"";
    let app = fleet(1, 1).configured(rule).start().await;
    app.reconcile_all().await;
    let of_secret = |name: &str| -> serde_json::Value {
        let texts = shards(&app)
            .into_iter()
            .map(|it| fs::read_to_string(it).unwrap());
        let mut shards =
            texts.map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap());
        let found = shards.find_map(|shard| shard["secrets"].get(name).cloned());
        found.unwrap()
    };
    let (sql, mail) = (of_secret("sql"), of_secret("mail"));
    let newest = |secret: &str| {
        app.azure
            .cloud
            .newest_version("contoso-kv", secret)
            .unwrap()
    };
    assert_eq!(sql["newest"]["version"], newest("sql"));
    assert!(sql["newest"]["created"].is_string() && sql["rule"].is_null());
    let unwatched = mail["rule"]["unwatched"].as_str().unwrap();
    assert!(unwatched.contains("mode `monitor`"), "{mail}");
    // An event tells it before the next comparison does.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let version = app.rotate_and_settle("sql").await;
    assert_eq!(of_secret("sql")["newest"]["version"], version);
}

#[tokio::test]
async fn until_a_sweep_has_made_a_lost_part_of_the_index_again_events_read_the_scope() {
    let app = fleet(2, 1).start().await;
    app.reconcile_all().await;
    for shard in shards(&app) {
        fs::write(&shard, "{").unwrap();
    }
    // The sweep waits in the middle of its reads.
    let read = Intercept::new(Service::ResourceManager, Moment::Arrived)
        .method("GET")
        .path("sites/user-1/config/configreferences");
    let (begun, reading) = oneshot::channel();
    let (go_on, held) = oneshot::channel::<()>();
    app.azure.cloud.intercept(read, move || async move {
        let _ = begun.send(());
        let _ = held.await;
        Then::GoOn
    });
    let event = async {
        reading.await.unwrap();
        let mut texts = shards(&app)
            .into_iter()
            .map(|it| fs::read_to_string(it).unwrap());
        assert!(texts.all(|text| text.contains("made_again")));
        let lists = app.lists();
        app.rotate_and_settle("sql").await;
        for user in ["user-0", "user-1"] {
            assert_eq!(app.outcome(user).0, "verified", "{}", app.log());
        }
        assert!(app.lists() > lists, "{}", app.log());
        go_on.send(()).unwrap();
    };
    tokio::join!(app.compare_again(), event);
    app.reconcile_all().await;
    let lists = app.lists();
    app.rotate_and_settle("sql").await;
    assert_eq!(app.lists(), lists, "the index is not made again");
    assert_eq!(app.outcome("user-1").0, "verified", "{}", app.log());
}
