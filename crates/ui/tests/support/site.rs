//! A site with a store and a function app in folders of its own, served over HTTP.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use keyrelay_model::{Event, Evidence, ObjectKind, Occurrence, PlannedChange, Verdict};
use keyrelay_records::index::{
    CurrentVersion, Found, Index, IndexChange, IndexUpdate, IndexedReference,
};
use keyrelay_records::{
    AzureRequest, Cause, EventRecord, History, Outcome, PolicyRecord, RotationRecord, Run, RunId,
};
use keyrelay_sandbox::{Compilation, Policy, Sandbox};
use keyrelay_store::Store;
use keyrelay_ui::{
    AccessControl, CheckedCase, CsrfKey, Installation, PolicyCases, SessionToken, Sources,
};
use serde_json::json;
use tempfile::TempDir;

pub(crate) const VAULT: &str = "contoso-kv.vault.azure.net";
pub(crate) const NEW: &str = "0f3b0f3b0f3b0f3b0f3b0f3b0f3b0f3b";
pub(crate) const OLD: &str = "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a";
pub(crate) const CORRELATION: &str = "0b0b0b0b-0000-4000-8000-00000000c0de";

/// Folders with a store and a function app.
pub(crate) struct Folders {
    folder: TempDir,
    pub(crate) store: Store,
}

/// One case that passes, and one that fails, for `follow` alone.
#[derive(Debug)]
struct TwoCases;

impl PolicyCases for TwoCases {
    fn evaluate<'a>(
        &'a self,
        policy: &'a Policy,
        wasm: &'a Path,
    ) -> BoxFuture<'a, Vec<CheckedCase>> {
        let case = |name: &str, failure: Option<&str>| CheckedCase {
            name: name.to_owned(),
            failure: failure.map(str::to_owned),
        };
        let is_follow = policy.name() == "follow" && wasm.ends_with("policies/follow.wasm");
        let cases = [
            case("good-case", None),
            case("bad-case", Some("expected <b>refresh</b>")),
        ];
        let cases = cases.into_iter().filter(move |_| is_follow).collect();
        Box::pin(async move { cases })
    }
}

/// A site that is served until the test ends.
pub(crate) struct Site {
    pub(crate) folders: Folders,
    /// `http://127.0.0.1:<port>`
    pub(crate) origin: String,
    /// The path with the token.
    pub(crate) begin: String,
}

impl Folders {
    /// Folders with an empty store, an empty configuration, and the policies `follow` and `pin`.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policies = folder.path().join("policies");
        fs::create_dir(&policies).unwrap();
        for name in ["follow.wasm", "pin.wasm"] {
            let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
            let copied = fs::copy(shipped.join(name), policies.join(name));
            copied.expect("the policies are built: `cargo xtask policies`");
        }
        let store = Store::folder(&folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn history(&self) -> History {
        History::new(self.store.clone())
    }

    pub(crate) async fn keep(&self, run: &Run) -> RunId {
        self.history().keep(run).await.unwrap();
        run.id.clone()
    }

    /// Notes that an app references a secret, and the version that it has.
    pub(crate) async fn uses(
        &self,
        secret: &str,
        app: &str,
        pinned: Option<&str>,
        has: Option<&str>,
    ) {
        let now = Timestamp::now();
        let change = |change| IndexUpdate {
            vault: VAULT.parse().unwrap(),
            secret: secret.parse().unwrap(),
            app: app_id(app).parse().unwrap(),
            change,
        };
        let reference = IndexedReference {
            setting: "SQL_PASSWORD".to_owned(),
            is_connection_string: false,
            version: pinned.map(str::to_owned),
            identity: None,
        };
        let found = IndexChange::Found(Found {
            references: vec![reference],
            with_connection_strings: true,
            at: now,
        });
        let current = has.map(|version| {
            let age = Duration::from_hours(if version == OLD { 48 } else { 2 });
            let evidence = Some(Evidence::RefreshedTwice);
            IndexChange::Current(CurrentVersion::new(version, evidence, now - age))
        });
        let updates = [Some(found), current].into_iter().flatten().map(change);
        let index = Index::new(self.store.clone());
        index.update(updates.collect()).await.unwrap();
    }

    /// Notes that a sweep of all apps has come to its end.
    pub(crate) async fn swept(&self) {
        let state = json!({ "format": 1, "swept": Timestamp::now(), "scopes": [], "shards": [] });
        self.store.write("index/state.json", &state).await.unwrap();
    }

    /// Serves the pages for this access.
    pub(crate) async fn serve_with(
        self,
        access: impl FnOnce(u16, SessionToken) -> AccessControl,
    ) -> Site {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let session = SessionToken::random("ada", port).unwrap();
        let begin = session.path();
        let installation = Installation {
            folder: self.folder.path().to_owned(),
            policies: self.path("policies"),
            environment: std::collections::BTreeMap::new(),
            sandbox: Sandbox::new(Compilation::InProcess).unwrap(),
            cases: Some(Arc::new(TwoCases)),
        };
        let sources = Sources::kept_for(self.store.clone(), installation, Duration::ZERO);
        let router = keyrelay_ui::router(Arc::new(sources), access(port, session));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Site {
            folders: self,
            origin: format!("http://127.0.0.1:{port}"),
            begin,
        }
    }

    /// Serves the pages for an operator.
    pub(crate) async fn serve(self) -> Site {
        self.serve_with(operator).await
    }

    /// Serves the pages without actions.
    pub(crate) async fn serve_read_only(self) -> Site {
        self.serve_with(|port, session| operator(port, session).read_only(true))
            .await
    }
}

fn operator(port: u16, session: SessionToken) -> AccessControl {
    let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    AccessControl::new(hosts, Arc::new(session), CsrfKey::random().unwrap())
}

pub(crate) fn app_id(name: &str) -> String {
    let (site, slot) = match name.split_once('/') {
        Some((site, slot)) => (site, format!("/slots/{slot}")),
        None => (name, String::new()),
    };
    format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/{site}{slot}")
}

/// The event of a new version of a secret.
pub(crate) fn event(secret: &str, version: &str) -> Event {
    Event {
        id: "event-1".to_owned(),
        vault_host: VAULT.parse().unwrap(),
        kind: ObjectKind::Secret,
        name: secret.parse().unwrap(),
        occurrence: Occurrence::NewVersionCreated,
        version: Some(version.parse().unwrap()),
        time: u64::try_from(Timestamp::now().as_second() - 7_200).unwrap(),
        nanoseconds: 0,
        is_time_of_arrival: false,
        not_before: None,
        expires: Some(1_924_960_739),
    }
}

/// A reference that is pinned to a version.
fn uri(secret: &str, version: &str) -> String {
    format!("@Microsoft.KeyVault(SecretUri=https://{VAULT}/secrets/{secret}/{version})")
}

/// A run about a new version of a secret, with a rotation for each app.
pub(crate) fn run(age: Duration, secret: &str, rotations: &[(&str, Outcome)]) -> Run {
    let started = Timestamp::now() - age;
    let event = event(secret, NEW);
    let rotation = |(name, outcome): &(&str, Outcome)| RotationRecord {
        decision: Some("patch".to_owned()),
        plan: vec![PlannedChange {
            setting: "SQL_PASSWORD".to_owned(),
            before: Some(uri(secret, OLD)),
            after: Some(uri(secret, NEW)),
        }],
        policy_log: vec!["stdout: one setting to move".to_owned()],
        requests: vec![request(started)],
        ..RotationRecord::ended(
            app_id(name).parse().unwrap(),
            outcome.clone(),
            Duration::from_millis(800),
        )
    };
    Run {
        duration_ms: 1_234,
        event: Some(EventRecord::from(&event)),
        policy: Some(PolicyRecord {
            name: "follow".to_owned(),
            digest: "d1".repeat(32),
        }),
        rotations: rotations.iter().map(rotation).collect(),
        ..Run::begin(Cause::Event, "invocation-1", None, started)
    }
}

pub(crate) fn request(at: Timestamp) -> AzureRequest {
    AzureRequest {
        operation: "write the settings".to_owned(),
        subject: app_id("orders"),
        at,
        duration_ms: 345,
        status: Some(200),
        request_id: Some("request-1".to_owned()),
        correlation_id: Some(CORRELATION.to_owned()),
        attempts: 2,
    }
}

pub(crate) fn verified() -> Outcome {
    Outcome::proven(Evidence::ActiveVersion, "Azure names the version")
}

pub(crate) fn failed() -> Outcome {
    Outcome::permanent("Azure refused: assign the role `Website Contributor`")
}

pub(crate) fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

/// A fleet of three apps, of which one is behind, and a failed run of another secret.
pub(crate) async fn usual() -> Folders {
    let folders = Folders::new();
    folders.swept().await;
    folders.uses("sql", "orders", None, Some(NEW)).await;
    folders.uses("sql", "billing", Some(OLD), Some(OLD)).await;
    folders.uses("storage", "orders/staging", None, None).await;
    let good = run(minutes(120), "sql", &[("orders", verified())]);
    folders.keep(&good).await;
    let bad = [("orders/staging", failed()), ("orders", verified())];
    folders.keep(&run(minutes(10), "storage", &bad)).await;
    let unchanged = Outcome::new(Verdict::Unchanged, "nothing to do");
    let other = run(minutes(5), "other", &[("orders", unchanged)]);
    folders.keep(&other).await;
    folders
}
