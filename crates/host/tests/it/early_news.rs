//! Early news: events about changed apps, whose references the reconcile timer then reads.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_local_azure::{Effect, Fault, Service};
use serde_json::{Value, json};

use crate::fixtures::{SUBSCRIPTION, VAULT, reference};
use crate::harness::{Harness, files_below};
use crate::setup::Setup;
use crate::webhook_harness::{self, Webhook};

/// An installation that has read all apps: `orders` references no secret.
async fn swept() -> Harness {
    let app = Setup::new()
        .configured("[[rotation]]\nsecret = \"sql\"\npolicy = \"pin\"")
        .site("orders", "PLAIN = \"planted-value-plain\"")
        .ideal()
        .with(|options| options.world.early_news = true)
        .start()
        .await;
    app.reconcile_all().await;
    app
}

/// The apps that were changed and not read yet, as the store has them.
fn changed(app: &Harness) -> Vec<String> {
    let folder = app.store().join("pending/changed");
    let files = files_below(&folder).into_iter().map(|file| {
        let file = file.strip_prefix(&folder).unwrap();
        file.display().to_string()
    });
    files.collect()
}

/// Whether the index has the app.
fn is_indexed(app: &Harness, site: &str) -> bool {
    let name = format!("/sites/{site}");
    let files = files_below(&app.store().join("index"));
    let mut texts = files
        .iter()
        .filter(|file| !file.ends_with("state.json"))
        .map(|file| std::fs::read_to_string(file).unwrap().to_lowercase());
    texts.any(|text| text.contains(&name))
}

/// The number of reads of the references of an app.
fn reads(app: &Harness, site: &str) -> usize {
    app.requests(
        "GET",
        &format!("/sites/{site}/config/configreferences/appsettings"),
    )
}

fn written(resource: &str) -> Value {
    json!({
        "id": "e-news",
        "topic": format!("/subscriptions/{SUBSCRIPTION}"),
        "subject": resource,
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2026-03-01T10:20:30Z",
        "data": { "resourceUri": resource },
        "dataVersion": "2",
        "metadataVersion": "1",
    })
}

#[tokio::test]
async fn an_app_that_begins_to_reference_a_secret_is_in_the_index_without_a_sweep() {
    let app = swept().await;
    assert!(!is_indexed(&app, "orders"));
    let lists = app.lists();
    let add = |name: &'static str| {
        let cloud = &app.azure.cloud;
        cloud
            .edit_settings("orders", |settings| {
                settings.insert(name.to_owned(), reference("sql").into());
            })
            .unwrap();
    };
    // Two changes before the timer are one note.
    add("SQL");
    add("SQL2");
    app.settled().await;
    let note = format!("{SUBSCRIPTION}/shop/orders.json");
    assert_eq!(changed(&app), [note], "{}", app.log());
    assert_eq!(app.runs().len(), 0);

    app.reconcile().await;
    assert!(app.log().contains("; 1 changed apps read"), "{}", app.log());
    assert!(is_indexed(&app, "orders"), "{}", app.log());
    assert_eq!(changed(&app), [""; 0]);
    // The next event finds the app in the index.
    app.rotate_and_settle("sql").await;
    assert_eq!(app.outcome("orders").0, "verified", "{}", app.log());
    assert_eq!(app.lists(), lists, "{}", app.log());
}

#[tokio::test]
async fn a_changed_app_that_is_behind_is_repaired_and_the_repair_does_not_repeat_itself() {
    let app = swept().await;
    let old = app.azure.cloud.newest_version(VAULT, "sql").unwrap();
    let yesterday = Timestamp::now() - Duration::from_hours(24);
    app.azure
        .cloud
        .set_created(VAULT, "sql", yesterday)
        .unwrap();
    let new = app.rotate_and_settle("sql").await;
    // The sweep that follows an event.
    app.reconcile().await;
    let lists = app.lists();
    let pinned = |version: &str| {
        format!("@Microsoft.KeyVault(VaultName={VAULT};SecretName=sql;SecretVersion={version})")
    };
    app.azure
        .cloud
        .edit_settings("orders", |settings| {
            settings.insert("SQL".to_owned(), pinned(&old).into());
        })
        .unwrap();
    app.settled().await;
    app.reconcile().await;
    assert_eq!(app.settings("orders")["SQL"], pinned(&new), "{}", app.log());
    assert_eq!((app.writes(), app.lists()), (1, lists), "{}", app.log());

    // The write of keyrelay is an event too. It is read, and nothing is left to do.
    app.settled().await;
    assert_eq!(changed(&app).len(), 1, "{}", app.log());
    let (before, runs) = (reads(&app, "orders"), app.runs().len());
    app.reconcile().await;
    app.settled().await;
    assert_eq!((app.writes(), app.runs().len()), (1, runs), "{}", app.log());
    assert_eq!(reads(&app, "orders"), before + 1, "{}", app.log());
    assert_eq!(changed(&app), [""; 0]);
    app.reconcile().await;
    assert_eq!(reads(&app, "orders"), before + 1, "{}", app.log());
}

#[tokio::test]
async fn events_about_other_resources_are_ignored() {
    let app = swept().await;
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers");
    let elsewhere = group.replace("/shop/", "/elsewhere/");
    for resource in [
        format!("{group}/Microsoft.Storage/storageAccounts/a"),
        format!("{elsewhere}/Microsoft.Web/sites/orders/config/appsettings"),
        format!("{group}/Microsoft.Web/sites/keyrelay/config/appsettings"),
        String::new(),
    ] {
        let done = app.invoke(&written(&resource)).await;
        assert!(done.outcome.is_ok(), "{resource}: {done:?}");
        assert_eq!(changed(&app), [""; 0], "{resource}");
    }
    assert_eq!(app.runs().len(), 0);
    let slot = format!("{group}/Microsoft.Web/sites/Orders/slots/Staging/config/appsettings");
    app.invoke(&written(&slot)).await;
    let note = format!("{SUBSCRIPTION}/shop/orders/staging.json");
    assert_eq!(changed(&app), [note]);
}

#[tokio::test]
async fn a_change_that_cannot_be_noted_is_delivered_again() {
    let app = swept().await;
    app.take_store_away().await;
    let resource = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.Web/sites/orders"
    );
    let done = app.invoke(&written(&resource)).await;
    assert!(done.outcome.is_err(), "{done:?}");
    app.bring_store_back().await;
    app.invoke(&written(&resource)).await;
    assert_eq!(changed(&app).len(), 1, "{}", app.log());
}

#[tokio::test]
async fn the_webhook_notes_a_changed_app_in_both_schemas() {
    let resource = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers/Microsoft.Web/sites/orders"
    );
    let event = written(&resource);
    for schema in ["Event Grid", "CloudEvents"] {
        let webhook = Webhook::start(webhook_harness::app(), "").await;
        let response = match schema {
            "Event Grid" => webhook.deliver(&json!([event])).await,
            _ => {
                let content_type = "application/cloudevents+json; charset=utf-8";
                let event = webhook_harness::cloud_event(&event);
                webhook.deliver_as(content_type, &event).await
            }
        };
        assert_eq!(response.status(), 200, "{schema}: {}", webhook.log());
        let note = format!("store/pending/changed/{SUBSCRIPTION}/shop/orders.json");
        // The timer may have read the app already.
        let is_noted = webhook.folder.path().join(note).exists();
        let is_read = webhook.log().contains("1 changed apps read");
        assert!(is_noted || is_read, "{schema}: {}", webhook.log());
    }
}

#[tokio::test]
async fn a_changed_app_that_cannot_be_read_is_read_by_the_next_invocation() {
    let app = swept().await;
    let old = app.rotate_and_settle("sql").await;
    let pinned =
        format!("@Microsoft.KeyVault(SecretUri=https://{VAULT}.vault.azure.net/secrets/sql/{old})");
    let begin = |settings: &mut std::collections::BTreeMap<String, _>| {
        settings.insert("SQL".to_owned(), pinned.clone().into());
    };
    let away = Effect::status(503, "ServiceUnavailable");
    let away = Fault::new(Service::ResourceManager, away).path("sites/orders/");
    app.azure.cloud.switch_on(away);
    app.azure.cloud.edit_settings("orders", begin).unwrap();
    app.settled().await;
    app.reconcile().await;
    assert!(!is_indexed(&app, "orders"), "{}", app.log());
    let noted = files_below(&app.store().join("pending/reading"));
    assert_eq!(noted.len(), 1, "{}", app.log());
    app.azure.cloud.switch_off_faults();
    app.reconcile().await;
    assert!(is_indexed(&app, "orders"), "{}", app.log());
    let noted = files_below(&app.store().join("pending/reading"));
    assert!(noted.is_empty(), "{noted:?}");
}
