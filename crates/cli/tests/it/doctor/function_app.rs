//! Findings about the function app: configuration, files, policies, store.

use std::fs;
use std::path::Path;

use keyrelay_records::record::Cause;
use serde_json::{Value, json};

use super::installation::{Installation, ROLE, WORLD, world};
use crate::harness::{history, run};

#[tokio::test]
async fn a_good_installation_is_well_and_nothing_is_changed() {
    let installation = Installation::new(&world()).await.rotated().await;
    let before = installation.azure.cloud.settings("orders").unwrap();
    let done = installation.doctor_unwrapped(&[]).await;
    assert_eq!(done.code, Some(0), "{}{}", done.output, done.errors);
    for what in [
        "configuration",
        "host.json",
        "time limits",
        "functions",
        "policy follow",
        "mode",
        "identity",
        "scope",
        "references",
        "rights",
        "vault",
        "events",
        "store",
        "last event",
        "pending",
    ] {
        assert!(
            done.output.contains(&format!("ok    {what}: ")),
            "{what}: {}",
            done.output
        );
    }
    assert!(!done.output.contains("FAIL"), "{}", done.output);
    assert!(
        done.output.contains("SecretNewVersionCreated of sql"),
        "{}",
        done.output
    );
    assert_eq!(installation.azure.cloud.settings("orders").unwrap(), before);
}

#[tokio::test]
async fn pages_without_their_function_or_without_a_sign_in() {
    let mut installation = Installation::new(&world()).await.rotated().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::write(installation.file("keyrelay.toml"), "ui = true\n").unwrap();
    installation.finds("Ui/function.json", "the package").await;
    fs::create_dir(installation.file("Ui")).unwrap();
    let function = "Ui/function.json";
    fs::copy(root.join(function), installation.file(function)).unwrap();
    installation
        .finds_only("App Service authentication is off", "`ui = true`")
        .await;
    installation.variables = vec![("KEYRELAY_UI_AUTHENTICATED", Some("true".to_owned()))];
    installation
        .finds_only("anyone can act on the pages", "Microsoft Entra")
        .await;

    let signs_in = |installation: &Installation, validation: Value, providers: Value| {
        let properties = json!({
            "platform": { "enabled": true },
            "globalValidation": validation,
            "identityProviders": providers,
        });
        let Value::Object(properties) = properties else {
            unreachable!()
        };
        let cloud = &installation.azure.cloud;
        cloud.set_authentication("keyrelay", properties).unwrap();
    };
    let entra = json!({ "azureActiveDirectory": { "registration": { "clientId": "a" } } });
    let without_deliveries = json!({
        "requireAuthentication": true,
        "excludedPaths": ["/runtime/webhooks/EventGrid", "/admin/*"],
    });
    signs_in(&installation, without_deliveries.clone(), json!({}));
    installation
        .finds_only("without Microsoft Entra", "`ui = true`")
        .await;
    signs_in(
        &installation,
        json!({ "requireAuthentication": true }),
        entra.clone(),
    );
    installation
        .finds_only("no event arrives", "`globalValidation.excludedPaths`")
        .await;
    signs_in(&installation, json!({}), entra.clone());
    let done = installation.doctor_unwrapped(&[]).await;
    let warning = "warn  authentication: users of the pages are not asked to sign in";
    assert!(done.output.contains(warning), "{}", done.output);
    signs_in(&installation, without_deliveries, entra.clone());
    let done = installation.doctor_unwrapped(&[]).await;
    assert_eq!(done.code, Some(0), "{}{}", done.output, done.errors);
    for good in [
        "functions: Ui has its httpTrigger",
        "authentication: the users of the pages sign in",
    ] {
        assert!(done.output.contains(good), "{good}: {}", done.output);
    }
    installation.variables.clear();
    let done = installation.doctor_unwrapped(&[]).await;
    let warning =
        "warn  authentication: unless App Service sets WEBSITE_AUTH_ENABLED, nobody can see";
    assert!(done.output.contains(warning), "{}", done.output);
    // It keeps the deliveries out without the pages, too.
    fs::write(installation.file("keyrelay.toml"), "").unwrap();
    signs_in(
        &installation,
        json!({ "requireAuthentication": true }),
        entra,
    );
    installation
        .finds_only("no event arrives", "`globalValidation.excludedPaths`")
        .await;
}

#[tokio::test]
async fn a_mistake_in_the_configuration() {
    let installation = Installation::new(&world()).await;
    fs::write(
        installation.file("keyrelay.toml"),
        "mode = \"on\"\nscop = []\n",
    )
    .unwrap();
    installation
        .finds("`on` is none of", "does not start")
        .await;
    installation.finds("scop", "does not start").await;
}

#[tokio::test]
async fn policies_that_cannot_be_used() {
    let installation = Installation::new(&world()).await.rotated().await;
    fs::write(installation.file("policies/half.wasm"), b"\0asm\x01\0").unwrap();
    installation
        .finds_only("policy half: quarantined: ", "replace the file")
        .await;
    fs::remove_file(installation.file("policies/half.wasm")).unwrap();

    let lock = |app: &Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_keyrelay"));
        assert!(
            command
                .arg("lock")
                .arg(app)
                .output()
                .unwrap()
                .status
                .success()
        );
    };
    lock(installation.folder.path());
    fs::copy(
        installation.file("policies/follow.wasm"),
        installation.file("policies/new.wasm"),
    )
    .unwrap();
    installation
        .finds_only(
            "policy new: policies.lock does not name it",
            "keyrelay lock",
        )
        .await;
    fs::write(installation.file("policies.lock"), "no lock").unwrap();
    installation.finds("policies.lock", "keyrelay lock").await;
    fs::remove_dir_all(installation.file("policies")).unwrap();
    fs::remove_file(installation.file("policies.lock")).unwrap();
    installation
        .finds("there is no policy in", "put policies there")
        .await;
}

#[tokio::test]
async fn a_rotation_that_cannot_work() {
    let installation = Installation::new(&world()).await.rotated().await;
    let rotation = |policy: &str| {
        format!(
            "[[rotation]]\nsecret = \"other\"\npolicy = \"{policy}\"\nparameters = {{ a = \"1\" }}\n"
        )
    };
    fs::write(installation.file("keyrelay.toml"), rotation("mine")).unwrap();
    installation
        .finds_only("rotation[0]: its policy mine is not there", "mine.wasm")
        .await;
    let alternate = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/alternate.wasm");
    fs::copy(alternate, installation.file("policies/alternate.wasm")).unwrap();
    fs::write(installation.file("keyrelay.toml"), rotation("alternate")).unwrap();
    installation
        .finds_only("rotation[0]: ", "correct `parameters`")
        .await;
}

#[tokio::test]
async fn times_that_do_not_fit_and_files_that_are_missing() {
    let installation = Installation::new(&world()).await.rotated().await;
    let host = fs::read_to_string(installation.file("host.json")).unwrap();
    let change = |text: String| fs::write(installation.file("host.json"), text).unwrap();
    change(host.replacen('{', "{ \"functionTimeout\": \"00:01:00\",", 1));
    installation
        .finds_only(
            "time limits: `functionTimeout` in host.json is 00:01:00",
            "00:10:00",
        )
        .await;
    change(host.replace("keyrelay-host", "other-host"));
    installation
        .finds_only(
            "is other-host, which is not there",
            "put keyrelay-host beside it",
        )
        .await;
    change(host);
    fs::remove_file(installation.file("Reconcile/function.json")).unwrap();
    installation
        .finds_only("functions: ", "from the package")
        .await;
}

#[tokio::test]
async fn the_kill_switch() {
    let mut installation = Installation::new(&world()).await.rotated().await;
    installation.variables = vec![("KEYRELAY_MODE", Some("off".to_owned()))];
    installation.finds_only("mode: off", "KEYRELAY_MODE").await;
}

#[tokio::test]
async fn a_store_that_is_not_there() {
    let mut installation = Installation::new(&world()).await.rotated().await;
    installation.variables = vec![("KEYRELAY_STORE", Some("elsewhere".to_owned()))];
    installation
        .finds_only("store: the folder", "KEYRELAY_STORE")
        .await;
    installation.variables = vec![(
        "KEYRELAY_STORE",
        Some("http://127.0.0.1:1/account/keyrelay".to_owned()),
    )];
    installation
        .finds_only(
            "store: http://127.0.0.1:1/account/keyrelay cannot be read",
            "Storage Blob Data Contributor",
        )
        .await;
}

#[tokio::test]
async fn the_last_event_is_found_after_many_older_runs() {
    let installation = Installation::new(&world()).await.rotated().await;
    let history = history(&installation.file(".keyrelay/store"));
    for minute in 0..51 {
        let mut older = run(
            &format!("2026-01-01T10:{minute:02}:00Z"),
            "contoso-kv/sql",
            &[],
        );
        older.cause = Cause::Drift;
        history.keep(&older).await.unwrap();
    }
    let output = installation.doctor_unwrapped(&[]).await.output;
    let found = "last event: Microsoft.KeyVault.SecretNewVersionCreated of sql";
    assert!(output.contains(found), "{output}");
}

#[tokio::test]
async fn the_last_event_is_the_newest_of_its_day_and_of_all_days() {
    let installation = Installation::new(&world()).await;
    let history = history(&installation.file(".keyrelay/store"));
    let last = async |started: &str, secret: &str| {
        let run = run(started, &format!("contoso-kv/{secret}"), &[]);
        history.keep(&run).await.unwrap();
        let findings = installation.findings(&[]).await;
        let found = findings.iter().find(|it| it["what"] == "last event");
        found.unwrap()["message"].as_str().unwrap().to_owned()
    };
    let second = last("2026-01-02T10:00:00Z", "second").await;
    assert!(second.contains("of second, run "), "{second}");
    for (started, secret) in [
        ("2026-01-01T23:00:00Z", "of-an-older-day"),
        ("2026-01-02T09:00:00Z", "of-an-older-hour"),
    ] {
        assert_eq!(last(started, secret).await, second);
    }
    let third = last("2026-01-02T10:00:01Z", "third").await;
    assert!(third.contains("of third, run "), "{third}");
}

#[tokio::test]
async fn by_the_id_of_the_function_app() {
    let readers = format!(
        "{WORLD}{}",
        ROLE.replace(
            "Microsoft.Authorization/permissions/read",
            "Microsoft.Authorization/*/read"
        )
    );
    let installation = Installation::new(&readers.replace(
        "\"Microsoft.Web/sites/config/*/action\", ",
        "\"Microsoft.Web/sites/config/list/action\", ",
    ))
    .await;
    let site = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.Web/sites/keyrelay";
    let findings = installation.findings(&["--site", site]).await;
    let find = |what: &str| findings.iter().find(|it| it["what"] == what).unwrap();
    assert_eq!(find("site")["ok"], true, "{findings:#?}");
    // The fix names the identity that was found.
    let rights = find("rights");
    assert_eq!(rights["ok"], false, "{rights:#?}");
    let fix = rights["fix"].as_str().unwrap();
    let id = fix.split("--assignee-object-id ").nth(1).unwrap();
    let id = id.split(' ').next().unwrap();
    assert!(id.len() == 36 && fix.contains("refresh/action"), "{fix}");
}

#[tokio::test]
async fn colours_are_for_terminals_and_obey_no_color() {
    let mut installation = Installation::new(&world()).await.rotated().await;
    let is_coloured = async |installation: &Installation| {
        installation.doctor(&[]).await.output.contains('\u{1b}')
    };
    // Standard output is a pipe here.
    assert!(!is_coloured(&installation).await);
    let forced = ("CLICOLOR_FORCE", Some("1".to_owned()));
    installation.variables.push(forced);
    assert!(is_coloured(&installation).await);
    let without = ("NO_COLOR", Some("1".to_owned()));
    installation.variables.push(without);
    assert!(!is_coloured(&installation).await);
}
