//! The start by the Functions host, and starts that fail.

use std::process::{Command, Output};

use keyrelay_sandbox::{Lock, SigningKey};

use crate::harness::client;
use crate::setup::Setup;

fn run(folder: &std::path::Path, variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keyrelay-host"))
        .current_dir(folder)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

#[test]
fn a_fatal_configuration_is_reported_whole_and_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("keyrelay.toml"),
        "mode = \"on\"\nscop = []\n",
    )
    .unwrap();
    let output = run(
        folder.path(),
        &[
            ("FUNCTIONS_CUSTOMHANDLER_PORT", "1"),
            ("KEYRELAY_MOED", "off"),
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let (stdout, stderr) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    for problem in [
        "mode: `on` is none of",
        "scop: unknown key",
        "KEYRELAY_MOED: unknown name",
    ] {
        assert!(stdout.contains(problem), "{stdout}");
    }
    for line in stdout.lines() {
        assert!(
            serde_json::from_str::<serde_json::Value>(line).is_ok(),
            "{line}"
        );
    }
    assert!(
        stderr.contains("the configuration has 3 problems"),
        "{stderr}"
    );
}

#[test]
fn without_a_port_the_error_names_the_variable() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("FUNCTIONS_CUSTOMHANDLER_PORT is not set"),
        "{stderr}"
    );
}

#[tokio::test]
async fn it_responds_to_the_functions_host_and_to_no_unknown_function() {
    let app = Setup::new().start().await;
    let url = app.azure.functions_host.handler_url().unwrap();
    let ready = client().get(url.clone()).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    assert!(ready.text().await.unwrap().starts_with("keyrelay-host "));
    let other = client()
        .post(url.join("Other").unwrap())
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(other.status(), 404);
    assert!(other.text().await.unwrap().contains("SecretEvent"));
}

#[test]
fn an_installation_that_would_find_no_app_or_could_stop_itself_does_not_start() {
    let site = ("WEBSITE_SITE_NAME", "keyrelay");
    let owner = (
        "WEBSITE_OWNER_NAME",
        "00000000-0000-0000-0000-000000000001+westeurope-Linux",
    );
    let scope = (
        "KEYRELAY_SCOPE",
        r#"["/subscriptions/00000000-0000-0000-0000-000000000001"]"#,
    );
    for (variables, fix) in [
        (&[][..], "KEYRELAY_SCOPE"),
        // Flex Consumption sets no resource group.
        (&[site, owner], "KEYRELAY_SCOPE"),
        (&[site, scope], "KEYRELAY_OWN_APP"),
    ] {
        let (folder, _) = Setup::new().prepared();
        let mut all = vec![
            ("FUNCTIONS_CUSTOMHANDLER_PORT", "0"),
            ("KEYRELAY_STORE", "store"),
        ];
        all.extend(variables);
        let output = run(folder.path(), &all);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(fix), "{variables:?}: {stderr}");
    }
}

#[test]
fn with_trusted_keys_it_does_not_start_without_their_signature() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("policies")).unwrap();
    let (key, _) = SigningKey::generate().unwrap();
    let (other, _) = SigningKey::generate().unwrap();
    let start = |lock: Option<&Lock>| {
        if let Some(lock) = lock {
            lock.write(folder.path()).unwrap();
        }
        let trusted = key.public_key().to_string();
        let variables = [
            ("FUNCTIONS_CUSTOMHANDLER_PORT", "0"),
            ("KEYRELAY_STORE", "store"),
            (
                "KEYRELAY_SCOPE",
                "/subscriptions/00000000-0000-0000-0000-000000000001",
            ),
            ("KEYRELAY_TRUSTED_KEYS", trusted.as_str()),
        ];
        let output = run(folder.path(), &variables);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = start(None);
    assert!(
        missing.contains("`trusted_keys` in keyrelay.toml needs"),
        "{missing}"
    );
    let mut lock = Lock::default();
    let unsigned = start(Some(&lock));
    assert!(unsigned.contains("it has no signature"), "{unsigned}");
    lock.sign(&other);
    let by_other = start(Some(&lock));
    assert!(by_other.contains("it is signed by MCow"), "{by_other}");
}
