//! `keyrelay status --live`: what Azure shows now.

use keyrelay_local_azure::{Effect, Fault, ResolveStatus, Service};
use serde_json::Value;
use tokio::process::Command;

use crate::doctor::installation::{Installation, WORLD};
use crate::harness::{Done, done};

async fn status(installation: &Installation, arguments: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
    command
        .arg("status")
        .args(arguments)
        .env_clear()
        .envs(installation.azure.environment.iter().cloned())
        .current_dir(installation.folder.path())
        .kill_on_drop(true);
    done(command).await
}

/// The state of each use, by app, with its reason.
async fn states(installation: &Installation, arguments: &[&str]) -> Vec<(String, String, String)> {
    let all: Vec<&str> = ["--json"].iter().chain(arguments).copied().collect();
    let done = status(installation, &all).await;
    let json: Value =
        serde_json::from_str(&done.output).unwrap_or_else(|_| panic!("{}", done.errors));
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let uses = json["uses"].as_array().unwrap().iter().map(|it| {
        let app = text(&it["app"]);
        let (_, app) = app.split_once("/sites/").unwrap();
        (app.to_owned(), text(&it["state"]), text(&it["reason"]))
    });
    let mut uses: Vec<_> = uses.collect();
    uses.sort();
    uses
}

#[tokio::test]
async fn a_reference_that_azure_cannot_resolve_any_more_is_broken() {
    let world = format!("{WORLD}\n{}", crate::doctor::installation::ROLE);
    let installation = Installation::new(&world).await.rotated().await;
    let timer = installation
        .azure
        .functions_host
        .run_timer("Reconcile")
        .await;
    assert!(timer.is_ok());
    let staging = ["--app", "orders/staging"];
    let stored = states(&installation, &[]).await;
    assert_eq!(stored.len(), 2, "{stored:?}");
    assert!(
        stored.iter().all(|(_, state, _)| state != "broken"),
        "{stored:?}"
    );
    let denied = Effect::ReferenceStatus {
        status: ResolveStatus::AccessToKeyVaultDenied,
    };
    let fault = Fault::new(Service::ResourceManager, denied).path("slots/staging");
    let cloud = &installation.azure.cloud;
    cloud.switch_on(fault);
    // Azure resolves the references again after a write.
    let person = cloud.writer("person");
    person
        .set("orders/staging", "OTHER", "planted-value-4")
        .unwrap();
    let rows = || cloud.references("orders/staging").unwrap();
    while rows()
        .iter()
        .any(|row| row.status == ResolveStatus::Resolved)
    {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(states(&installation, &staging).await[0].1, stored[1].1);
    let live = states(&installation, &["--live"]).await;
    assert_ne!(live[0].1, "broken", "{live:?}");
    assert_eq!(live[1].1, "broken", "{live:?}");
    assert!(live[1].2.contains("AccessToKeyVaultDenied"), "{live:?}");
    // The filter of states is about what Azure shows.
    let broken = states(&installation, &["--live", "--state", "broken"]).await;
    assert_eq!(broken.len(), 1, "{broken:?}");
    let done = status(&installation, &["--live", "--check"]).await;
    assert_eq!(done.code, Some(1), "{}", done.errors);
}
