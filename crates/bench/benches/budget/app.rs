//! A deployed function app in a folder, and invocations by the Functions host.

use std::fs;
use std::path::{Path, PathBuf};

use keyrelay_sandbox::{Compilation, Digest, Lock, Locked, Sandbox, precompiled_file};
use serde_json::json;
use tempfile::TempDir;

use crate::process;

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
}

/// The file of a shipped policy.
pub(crate) fn shipped_policy(name: &str) -> PathBuf {
    let file = root().join(format!("policies/{name}.wasm"));
    assert!(
        file.exists(),
        "policies/{name}.wasm is missing: build it with `cargo xtask policies`"
    );
    file
}

/// Creates the folder of a function app.
pub(crate) fn folder(configuration: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path();
    fs::copy(root().join("host.json"), app.join("host.json")).unwrap();
    for function in ["SecretEvent", "Reconcile"] {
        fs::create_dir(app.join(function)).unwrap();
        fs::copy(
            root().join(function).join("function.json"),
            app.join(function).join("function.json"),
        )
        .unwrap();
    }
    fs::copy(process::keyrelay_host(), app.join("keyrelay-host")).unwrap();
    fs::create_dir(app.join("policies")).unwrap();
    fs::write(app.join("keyrelay.toml"), configuration).unwrap();
    folder
}

/// Fills a function app with copies of `follow`, precompiled and locked.
pub(crate) fn with_precompiled_policies(app: &Path, count: usize) {
    let module = shipped_policy("follow");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let precompiled = runtime
        .block_on(
            Sandbox::new(Compilation::InProcess)
                .unwrap()
                .precompile(&module),
        )
        .unwrap();
    let locked = Locked {
        digest: Digest::of(&fs::read(&module).unwrap()),
        precompiled: Some(Digest::of(&precompiled)),
    };
    let mut lock = Lock::default();
    for number in 0..count {
        let name = if number == 0 {
            "follow".to_owned()
        } else {
            format!("secret-{number:04}")
        };
        let file = app.join("policies").join(format!("{name}.wasm"));
        fs::copy(&module, &file).unwrap();
        fs::write(precompiled_file(&file), &precompiled).unwrap();
        lock.insert(&name, locked);
    }
    lock.write(app).unwrap();
}

/// The body of an invocation by Event Grid, with an event about an object of a vault.
pub(crate) fn invocation(object: &str, occurrence: &str) -> String {
    let (kind, name) = object.split_once('/').unwrap();
    let event = json!({
        "id": "5a1a2a52-0a1d-4b8f-9d9b-0a7d5b0a52b1",
        "topic": "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.KeyVault/vaults/contoso-kv",
        "subject": name,
        "eventType": format!("Microsoft.KeyVault.{occurrence}"),
        "data": {
            "Id": format!("https://contoso-kv.vault.azure.net/{object}/ee059b2bb5bc48398a53b168c6cdcb10"),
            "VaultName": "contoso-kv",
            "ObjectType": kind,
            "ObjectName": name,
            "Version": "ee059b2bb5bc48398a53b168c6cdcb10",
            "NBF": null,
            "EXP": null,
        },
        "dataVersion": "1",
        "metadataVersion": "1",
        "eventTime": "2026-11-23T10:12:19.5Z",
    });
    let sys =
        json!({ "MethodName": "SecretEvent", "UtcNow": "2026-11-23T10:12:20Z", "RandGuid": "1" });
    json!({ "Data": { "event": event }, "Metadata": { "sys": sys } }).to_string()
}
