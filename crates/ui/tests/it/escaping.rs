//! Names and texts of others, in every place that can hold one: they are shown as text, and no value
//! of a setting is shown.

use jiff::Timestamp;
use keyrelay_model::{PlannedChange, Verdict};
use keyrelay_records::actions::{ActionKind, Actions};
use keyrelay_records::holds::{self, Hold};
use keyrelay_records::record::FormerOutcome;
use keyrelay_records::{Outcome, Pending, PolicyRecord, RunId};
use serde_json::json;

use crate::browser::{Browser, links};
use crate::site::{Folders, VAULT, app_id, failed, minutes, request, run};

const SCRIPT: &str = "<script>alert('x')</script>\"'=1+1";

fn text() -> String {
    SCRIPT.to_owned()
}

/// A store in which every text that is free is a script.
async fn hostile() -> (Folders, RunId) {
    let folders = Folders::new();
    let now = Timestamp::now();
    let app = |name: &str, secret: &str| {
        json!({
            "id": app_id(name), "since": now, "seen": now, "set_back": secret,
            "references": [{ "setting": text(), "version": text(), "identity": text() }],
            "current": { "version": text(), "evidence": text(), "at": now },
        })
    };
    let apps = json!({ "a": app("orders", SCRIPT), "b": app("billing", SCRIPT) });
    let shard =
        json!({ "format": 1, "secrets": { "sql": { "apps": apps }, SCRIPT: { "apps": apps } } });
    // The shard of the secret `sql`, by the first byte of its SHA-256.
    let key = format!("index/{VAULT}/{}.json", shard_of("sql"));
    folders.store.write(&key, &shard).await.unwrap();
    folders
        .store
        .write(
            "index/evil.example/00.json",
            &json!({ "format": 99, "x": SCRIPT }),
        )
        .await
        .unwrap();

    let former = Outcome::new(Verdict::Pending, SCRIPT);
    let mut hostile = run(minutes(5), "sql", &[("orders", failed())]);
    hostile.invocation = text();
    hostile.instance = Some(text());
    hostile.notes = vec![text(), format!("held: {SCRIPT}")];
    hostile.policy = Some(PolicyRecord {
        name: text(),
        digest: text(),
    });
    hostile.ended = Some(Outcome::permanent(SCRIPT));
    let mut asked = request(now);
    asked.operation = text();
    asked.subject = text();
    asked.request_id = Some(text());
    asked.correlation_id = Some(text());
    hostile.requests = vec![asked.clone()];
    let event = hostile.event.as_mut().unwrap();
    for field in [
        &mut event.id,
        &mut event.event_type,
        &mut event.kind,
        &mut event.occurrence,
    ] {
        *field = text();
    }
    event.version = Some(text());
    let rotation = &mut hostile.rotations[0];
    rotation.outcome.message = text();
    rotation.decision = Some(text());
    rotation.plan = vec![PlannedChange {
        setting: text(),
        before: Some(text()),
        after: Some(text()),
    }];
    rotation.notes = vec![text()];
    rotation.policy_log = vec![text()];
    rotation.requests = vec![asked];
    rotation.before = Some(FormerOutcome {
        outcome: former,
        settled_by: RunId::at(now),
    });
    let id = folders.keep(&hostile).await;
    // A run whose event names what no vault and no secret can be called.
    let mut other = hostile.clone();
    other.id = RunId::at(now);
    let event = other.event.as_mut().unwrap();
    (event.name, event.vault_host) = (text(), text());
    folders.keep(&other).await;

    let hold = Hold {
        format: holds::FORMAT,
        vault_host: text(),
        secret: text(),
        by: text(),
        at: now,
        why: text(),
    };
    folders
        .store
        .write(&format!("holds/{VAULT}/sql.json"), &hold)
        .await
        .unwrap();
    let actions = Actions::new(folders.store.clone());
    let begun = actions
        .begin(ActionKind::Hold, SCRIPT, SCRIPT, SCRIPT)
        .await
        .unwrap();
    actions.end(begun, Err(text())).await.unwrap();
    let work = json!({ "app": app_id("orders"), "works": [{
        "run": id, "event": other.event, "since": now, "due": now, "attempts": 1, "reason": SCRIPT,
        "rollback": [{ "setting": SCRIPT, "before": "plain-text", "after": { "reference": SCRIPT } }],
    }] });
    let key = format!(
        "pending/apps/{}/{id}.json",
        keyrelay_records::app_key(&app_id("orders").parse().unwrap())
    );
    folders.store.write(&key, &work).await.unwrap();
    assert_eq!(
        Pending::new(folders.store.clone())
            .list()
            .await
            .unwrap()
            .work
            .len(),
        1
    );
    (folders, id)
}

fn shard_of(secret: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(secret.as_bytes());
    format!("{:02x}", digest[0])
}

#[tokio::test]
async fn a_script_in_every_name_is_text_on_every_page() {
    let (folders, id) = hostile().await;
    folders.write(
        "keyrelay.toml",
        "[[rotation]]\nsecret = 'sql'\npolicy = '<script>alert(1)</script>'\n",
    );
    folders.write("policies/<script>.wasm", "<script>");
    let browser = Browser::open(folders.serve().await).await;
    let mut paths = vec![
        "/".to_owned(),
        "/fleet".to_owned(),
        format!("/fleet?q={SCRIPT}&secret={SCRIPT}&app={SCRIPT}&vault={SCRIPT}&state={SCRIPT}"),
        "/runs?live=1&since=1d".to_owned(),
        format!("/runs?verdict={SCRIPT}&since={SCRIPT}&cause={SCRIPT}&app={SCRIPT}"),
        format!("/runs/{id}"),
        format!("/runs/{SCRIPT}"),
        format!("/secrets/{VAULT}/sql"),
        "/apps/s/g/orders".to_owned(),
        "/policies".to_owned(),
        "/policies/%3Cscript%3E".to_owned(),
        "/actions".to_owned(),
        format!("/act/resume?vault={VAULT}&secret=sql"),
        format!("/act/hold?vault={VAULT}&secret={SCRIPT}"),
        format!("/act/resubmit?id={id}"),
        "/act/resubmit-failed?since=2020-01-01T00:00:00Z".to_owned(),
        format!("/act/verify-now?app={}", app_id("orders")),
        format!("/{SCRIPT}"),
    ];
    // And where the links of the pages lead.
    for path in paths.clone() {
        let encoded = encode(&path);
        let shown = browser.show(&encoded).await;
        paths.extend(links(&shown.text, "/"));
    }
    paths.sort();
    paths.dedup();
    assert!(paths.len() > 30, "{paths:?}");
    let mut escaped = 0;
    for path in paths {
        let shown = browser.show(&encode(&path)).await;
        assert!(
            shown.status < 500 || shown.status == 502,
            "{path}: {}",
            shown.status
        );
        let content_type = shown.headers["content-type"].to_str().unwrap();
        if content_type.starts_with("text/html") {
            assert_eq!(
                shown.text.matches("<script").count(),
                1,
                "{path}: {}",
                shown.text
            );
            assert!(!shown.text.contains("alert('x')</script>"), "{path}");
            assert!(!shown.text.contains("javascript:"), "{path}");
            escaped += shown.text.matches("&lt;script&gt;").count();
        } else {
            assert!(!content_type.contains("html"), "{path}");
        }
    }
    assert!(escaped > 50, "{escaped}");
}

/// An address as a browser sends it.
fn encode(path: &str) -> String {
    path.replace('<', "%3C")
        .replace('>', "%3E")
        .replace('"', "%22")
        .replace(' ', "%20")
}

#[tokio::test]
async fn no_cell_of_an_export_is_a_formula() {
    let (folders, _) = hostile().await;
    let browser = Browser::open(folders.serve().await).await;
    let csv = browser.page("/evidence?format=csv").await;
    for cell in csv.split("\",\"") {
        let text = cell.trim_start_matches(['"', '\r', '\n']);
        assert!(!text.starts_with(['=', '+', '-', '@']), "{cell}");
    }
    let json = browser.page("/evidence?format=json").await;
    let all: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(all["rows"].as_array().unwrap().len() > 3);
}

#[tokio::test]
async fn values_of_the_configuration_and_of_rollbacks_are_on_no_page() {
    let (folders, id) = hostile().await;
    folders.write(
        "keyrelay.toml",
        "[[rotation]]\nsecret = 'contoso-kv/sql'\nparameters = { partner = 'planted-value-1' }\n\
         grant = { set = ['SQL'], reveal = ['SQL_USER'], text = true }\n",
    );
    let browser = Browser::open(folders.serve().await).await;
    for path in [
        "/".to_owned(),
        format!("/secrets/{VAULT}/sql"),
        "/policies/follow".to_owned(),
        "/apps/s/g/orders".to_owned(),
        format!("/runs/{id}"),
        "/evidence".to_owned(),
        "/evidence?format=json".to_owned(),
    ] {
        let shown = browser.page(&path).await;
        assert!(!shown.contains("planted-value"), "{path}");
    }
}
