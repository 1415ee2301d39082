//! Reloads: usable policies are loaded while the handler runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keyrelay_host::policy_cache::PolicyCache;
use keyrelay_model::{Decision, Event, ObjectKind, Occurrence, Target};
use keyrelay_sandbox::{
    AppSandbox, AppView, Compilation, Digest, Lock, Locked, PolicyLimits, Sandbox, SigningKey,
    precompiled_file, visible_references,
};

use crate::fixtures::reference;
use crate::harness::{Harness, field};
use crate::setup::{Setup, repository};

async fn app() -> Harness {
    Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .start()
        .await
}

/// Puts a file into `policies/` with a rename, so that it is never incomplete.
fn put(app: &Harness, from: &str, name: &str) {
    let policies = app.folder.path().join("policies");
    fs::copy(
        repository().join(format!("policies/{from}.wasm")),
        policies.join(".copied"),
    )
    .unwrap();
    fs::rename(
        policies.join(".copied"),
        policies.join(format!("{name}.wasm")),
    )
    .unwrap();
}

/// Waits for a log line about a policy.
async fn logged(app: &Harness, name: &str, part: &str) {
    let is_it = |app: &Harness| {
        let lines = app.lines();
        lines
            .iter()
            .any(|line| field(line, "policy.name") == name && field(line, "message").contains(part))
    };
    app.until(part, is_it).await;
}

/// Rotates the secret, and returns the name of the policy that decided and the decision.
async fn decided(app: &Harness) -> (String, String) {
    app.rotate_and_settle("sql").await;
    let line = app.verdicts().pop().unwrap();
    (
        field(&line, "policy.name").to_owned(),
        field(&line, "decision").to_owned(),
    )
}

#[tokio::test]
async fn a_new_file_is_loaded_and_a_removed_one_is_dropped() {
    let app = app().await;
    assert_eq!(decided(&app).await.0, "follow");
    put(&app, "pin", "sql");
    logged(&app, "sql", "policy loaded").await;
    assert_eq!(
        decided(&app).await,
        ("sql".to_owned(), "patch (set SQL)".to_owned())
    );
    fs::remove_file(app.folder.path().join("policies/sql.wasm")).unwrap();
    logged(&app, "sql", "policy removed").await;
    assert_eq!(decided(&app).await.0, "follow");
    assert_eq!(app.azure.functions_host.restarts(), 0);
}

#[tokio::test]
async fn a_broken_file_does_not_replace_a_good_one_and_a_good_one_does() {
    let app = app().await;
    put(&app, "pin", "sql");
    logged(&app, "sql", "policy loaded").await;
    let file = app.folder.path().join("policies/sql.wasm");
    let follow = fs::read(repository().join("policies/follow.wasm")).unwrap();
    // An incomplete copy.
    fs::write(&file, &follow[..follow.len() / 2]).unwrap();
    logged(&app, "sql", "the former policy stays").await;
    assert_eq!(
        decided(&app).await,
        ("sql".to_owned(), "patch (set SQL)".to_owned())
    );
    fs::write(&file, &follow).unwrap();
    let digest = Digest::of(&follow).to_string();
    let is_loaded = |app: &Harness| {
        let of_policy = |name: &str| {
            app.lines()
                .into_iter()
                .filter(|line| field(line, "policy.name") == name)
                .collect::<Vec<_>>()
        };
        of_policy("sql")
            .iter()
            .any(|line| field(line, "policy.digest") == digest)
    };
    app.until("the whole file", is_loaded).await;
    // The reference is pinned already, and `follow` moves pinned references.
    assert_eq!(
        decided(&app).await,
        ("sql".to_owned(), "patch (set SQL)".to_owned())
    );
    assert_eq!(
        field(&app.verdicts().pop().unwrap(), "policy.digest"),
        digest
    );
}

fn event() -> Event {
    Event {
        id: "event-1".to_owned(),
        vault_host: "contoso-kv.vault.azure.net".parse().unwrap(),
        kind: ObjectKind::Secret,
        name: "sql".parse().unwrap(),
        occurrence: Occurrence::NewVersionCreated,
        version: Some("2".parse().unwrap()),
        time: 1_793_424_739,
        nanoseconds: 0,
        is_time_of_arrival: false,
        not_before: None,
        expires: None,
    }
}

/// Evaluates the policy repeatedly, and checks each decision against the version of the policy that
/// made it.
async fn evaluate(
    policies: Arc<PolicyCache>,
    is_over: Arc<AtomicBool>,
    decisions: Arc<AtomicUsize>,
    pin: Digest,
) {
    let event = event();
    let target = Target {
        vault_host: event.vault_host.clone(),
        secret: "sql".parse().unwrap(),
        version: None,
    };
    let settings = visible_references([(keyrelay_model::SettingName::listed("SQL"), target)]);
    let app = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders"
        .parse()
        .unwrap();
    let parameters = BTreeMap::new();
    while !is_over.load(Ordering::Relaxed) {
        let policy = policies.get("sql").await.unwrap();
        let view = AppView {
            id: &app,
            settings: &settings,
            parameters: &parameters,
            grant: &keyrelay_model::Grant::default(),
        };
        let decision = policy
            .decide(&event, &view, &PolicyLimits::default())
            .await
            .unwrap()
            .decision;
        let is_patch = matches!(decision, Decision::Patch(_));
        assert_eq!(is_patch, policy.digest() == pin, "{decision:?}");
        decisions.fetch_add(1, Ordering::Relaxed);
        // Leaves processor time for the compiler.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replacing_a_policy_a_thousand_times_loses_no_decision_and_mixes_no_versions() {
    let folder = tempfile::tempdir().unwrap();
    let versions = ["pin", "follow"]
        .map(|name| fs::read(repository().join(format!("policies/{name}.wasm"))).unwrap());
    let replace = |number: usize| {
        fs::write(folder.path().join(".new"), &versions[number % 2]).unwrap();
        fs::rename(folder.path().join(".new"), folder.path().join("sql.wasm")).unwrap();
    };
    replace(0);
    let policies = Arc::new(
        PolicyCache::open(
            folder.path(),
            AppSandbox::new(folder.path(), Compilation::InProcess).unwrap(),
            None,
        )
        .unwrap(),
    );
    let (is_over, decisions) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let evaluations: Vec<_> = (0..4)
        .map(|_| {
            let pin = Digest::of(&versions[0]);
            tokio::spawn(evaluate(
                Arc::clone(&policies),
                Arc::clone(&is_over),
                Arc::clone(&decisions),
                pin,
            ))
        })
        .collect();
    for number in 1..=1_000 {
        replace(number);
        assert!(policies.reload().await, "{number}");
        let digest = policies.get("sql").await.unwrap().digest();
        assert_eq!(digest, Digest::of(&versions[number % 2]), "{number}");
    }
    is_over.store(true, Ordering::Relaxed);
    for task in evaluations {
        task.await.unwrap();
    }
    assert!(decisions.load(Ordering::Relaxed) > 1_000);
}

/// A lock for the policies in a folder, with their precompiled forms.
async fn lock(policies: &Path, names: &[&str]) -> Lock {
    let sandbox = Sandbox::new(Compilation::InProcess).unwrap();
    let mut lock = Lock::default();
    for name in names {
        let file = policies.join(format!("{name}.wasm"));
        let compiled = sandbox.precompile(&file).await.unwrap();
        fs::write(precompiled_file(&file), &compiled).unwrap();
        let digest = Digest::of(&fs::read(&file).unwrap());
        lock.insert(
            name,
            Locked {
                digest,
                precompiled: Some(Digest::of(&compiled)),
            },
        );
    }
    lock
}

#[tokio::test]
async fn with_a_lock_other_files_are_quarantined_and_precompiled_ones_are_used() {
    let setup = Setup::new().site("orders", &format!("SQL = \"{}\"", reference("sql")));
    let policies = setup.policies();
    lock(&policies, &["follow"])
        .await
        .write(policies.parent().unwrap())
        .unwrap();
    let app = setup.start().await;
    logged(&app, "pin", "`policies.lock` does not name it").await;
    logged(&app, "follow", "policy loaded").await;
    assert_eq!(decided(&app).await.0, "follow");
    assert!(!app.log().contains("compiled again"), "{}", app.log());
    put(&app, "pin", "sql");
    assert_eq!(
        decided(&app).await.0,
        "follow",
        "a lock does not let the folder change"
    );
}

#[tokio::test]
async fn a_precompiled_file_that_was_changed_is_reported_and_compiled_again() {
    let setup = Setup::new().site("orders", &format!("SQL = \"{}\"", reference("sql")));
    let policies = setup.policies();
    lock(&policies, &["follow", "pin"])
        .await
        .write(policies.parent().unwrap())
        .unwrap();
    let mut compiled = fs::read(policies.join("follow.cwasm")).unwrap();
    let last = compiled.len() - 1;
    compiled[last] ^= 1;
    fs::write(policies.join("follow.cwasm"), compiled).unwrap();
    let app = setup.start().await;
    logged(
        &app,
        "follow",
        "compiled again: the precompiled file is not the one",
    )
    .await;
    assert_eq!(decided(&app).await.0, "follow");
}

#[tokio::test]
async fn with_trusted_keys_a_lock_that_one_of_them_has_signed_applies() {
    let (former, _) = SigningKey::generate().unwrap();
    let (key, _) = SigningKey::generate().unwrap();
    let keys = [former.public_key(), key.public_key()];
    let setup = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .configured(&format!(
            "trusted_keys = [\"{}\", \"{}\"]",
            keys[0], keys[1]
        ));
    let policies = setup.policies();
    let mut signed = lock(&policies, &["follow"]).await;
    signed.sign(&key);
    signed.write(policies.parent().unwrap()).unwrap();
    let app = setup.start().await;
    logged(&app, "pin", "`policies.lock` does not name it").await;
    assert_eq!(decided(&app).await.0, "follow");
}

#[tokio::test]
async fn the_configuration_can_disable_the_lock() {
    let setup = Setup::new()
        .site("orders", &format!("SQL = \"{}\"", reference("sql")))
        .configured("locked = false");
    let policies = setup.policies();
    lock(&policies, &[])
        .await
        .write(policies.parent().unwrap())
        .unwrap();
    let app = setup.start().await;
    assert_eq!(decided(&app).await.0, "follow");
}
