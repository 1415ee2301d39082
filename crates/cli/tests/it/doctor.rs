//! `keyrelay doctor` before the stand-in for Azure: nothing wrong, and one thing wrong after the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use keyrelay_local_azure::functions_host::FunctionsHostOptions;
use keyrelay_local_azure::{LocalAzure, LocalAzureOptions, World};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::{Done, done};

const ROLE: &str = r#"
[[role]]
identity = "keyrelay"
actions = [
    "Microsoft.Web/sites/Read", "Microsoft.Web/sites/slots/Read",
    "Microsoft.Web/sites/config/Read", "Microsoft.Web/sites/slots/config/Read",
    "Microsoft.Web/sites/config/*/action", "Microsoft.Web/sites/slots/config/*/action",
    "Microsoft.Web/sites/config/Write", "Microsoft.Web/sites/slots/config/Write",
    "Microsoft.Authorization/permissions/read", "Microsoft.EventGrid/*/read",
]
"#;

const WORLD: &str = r#"
subscription = "00000000-0000-0000-0000-000000000001"

[[vault]]
name = "contoso-kv"
resource_group = "shop"
secrets = { sql = "planted-value-1" }

[[site]]
name = "orders"
resource_group = "shop"
settings = { SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)", PLAIN = "planted-value-2" }

[[site.slot]]
name = "staging"
settings = { SQL = "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)" }

[[site]]
name = "keyrelay"
resource_group = "shop"
"#;

/// An installation, to be broken in one place.
struct Installation {
    folder: TempDir,
    azure: LocalAzure,
    /// Variables that are set besides, or taken away.
    variables: Vec<(&'static str, Option<String>)>,
}

impl Installation {
    async fn new(world: &str) -> Self {
        Self::with(world, |_| {}).await
    }

    /// `prepare` changes the function app before it is started.
    async fn with(world: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = folder.path();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for file in [
            "host.json",
            "SecretEvent/function.json",
            "Reconcile/function.json",
        ] {
            fs::create_dir_all(app.join(file).parent().unwrap()).unwrap();
            fs::copy(root.join(file), app.join(file)).unwrap();
        }
        let host = PathBuf::from(env!("CARGO_BIN_EXE_keyrelay")).with_file_name("keyrelay-host");
        assert!(
            host.is_file(),
            "build it first: cargo build --package keyrelay-host"
        );
        std::os::unix::fs::symlink(host, app.join("keyrelay-host")).unwrap();
        fs::create_dir(app.join("policies")).unwrap();
        fs::copy(
            root.join("policies/follow.wasm"),
            app.join("policies/follow.wasm"),
        )
        .unwrap();
        fs::write(app.join("keyrelay.toml"), "").unwrap();
        prepare(app);
        let mut options = LocalAzureOptions::new(World::parse(world).unwrap(), app);
        options.site = Some("keyrelay".to_owned());
        options.functions_host = FunctionsHostOptions::new(app);
        let azure = LocalAzure::start(options).await.unwrap();
        Self {
            folder,
            azure,
            variables: Vec::new(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has a secret rotated, so that there is a first event.
    async fn rotated(self) -> Self {
        self.azure
            .cloud
            .set_secret("contoso-kv", "sql", "planted-value-3")
            .unwrap();
        self.azure.event_grid.settled().await;
        self
    }

    async fn doctor(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
        command
            .arg("doctor")
            .arg(self.folder.path())
            .args(arguments)
            .env_clear();
        command
            .envs(self.azure.environment.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        done(command).await
    }

    /// The findings that need somebody, each with its fix.
    async fn failures(&self) -> Vec<(String, String)> {
        let Done {
            code,
            output,
            errors,
        } = self.doctor(&["--json"]).await;
        assert!(!output.contains("planted-value"), "{output}");
        let findings: Vec<Value> = output
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let failed: Vec<&Value> = findings
            .iter()
            .filter(|finding| finding["ok"] == false)
            .collect();
        assert_eq!(
            code,
            Some(i32::from(!failed.is_empty())),
            "{output}{errors}"
        );
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
        let words = |it: &&Value| {
            (
                format!("{}: {}", text(it, "what"), text(it, "message")),
                text(it, "fix"),
            )
        };
        failed.iter().map(words).collect()
    }

    /// Expects a finding with these words, and these in its fix.
    async fn finds(&self, words: &str, fix: &str) {
        let failures = self.failures().await;
        assert!(
            failures
                .iter()
                .any(|it| it.0.contains(words) && it.1.contains(fix)),
            "{words}, {fix}: {failures:#?}"
        );
    }

    /// The same, and nothing else: no fault makes others up.
    async fn finds_only(&self, words: &str, fix: &str) {
        self.finds(words, fix).await;
        let failures = self.failures().await;
        assert_eq!(failures.len(), 1, "{failures:#?}");
    }
}

fn world() -> String {
    format!("{WORLD}{ROLE}")
}

#[tokio::test]
async fn a_good_installation_is_well_and_nothing_is_changed() {
    let installation = Installation::new(&world()).await.rotated().await;
    let before = installation.azure.cloud.settings("orders").unwrap();
    let done = installation.doctor(&[]).await;
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
async fn an_identity_that_is_not_there() {
    let mut installation = Installation::new(&world()).await.rotated().await;
    installation.variables.push((
        "KEYRELAY_CLIENT_ID",
        Some("00000000-0000-0000-0000-0000000000ff".to_owned()),
    ));
    installation
        .finds_only(
            "identity: the managed identity with the client id",
            "correct `client_id`",
        )
        .await;
}

#[tokio::test]
async fn an_action_that_the_role_does_not_have() {
    let without = |action: &str| world().replace(&format!("\"{action}\","), "");
    let pinned =
        |world: String| world.replacen("SecretName=sql)", "SecretName=sql;SecretVersion=0)", 1);

    let refresh = without("Microsoft.Web/sites/config/*/action");
    let installation = Installation::new(&refresh).await;
    installation
        .finds(
            "config/appsettings/refresh/action (to have references resolved again)",
            "az role definition create",
        )
        .await;

    let installation =
        Installation::new(&pinned(without("Microsoft.Web/sites/config/Write"))).await;
    installation
        .finds(
            "missing Microsoft.Web/sites/config/Write (to write the settings)",
            "\"Microsoft.Web/sites/config/Write\"",
        )
        .await;

    let installation = Installation::new(&without("Microsoft.Web/sites/Read")).await;
    installation
        .finds("scope: ", "az role assignment create")
        .await;

    let installation = Installation::new(&without("Microsoft.Web/sites/slots/config/Read")).await;
    installation.finds("references: ", "see `rights`").await;
}

#[tokio::test]
async fn a_vault_whose_versions_may_not_be_listed() {
    let denied = world().replace("secrets = {", "denies = [\"keyrelay\"]\nsecrets = {");
    let installation = Installation::new(&denied).await;
    installation
        .finds(
            "vault: contoso-kv: the versions of sql cannot be listed",
            "--role \"Key Vault Reader\"",
        )
        .await;
}

#[tokio::test]
async fn events_that_do_not_come() {
    let unsubscribed = world().replace("secrets = {", "subscribed = false\nsecrets = {");
    let installation = Installation::new(&unsubscribed).await;
    installation
        .finds(
            "nobody has subscribed",
            "sites/keyrelay/functions/SecretEvent",
        )
        .await;
    installation
        .finds("last event: no event has come yet", "set a new version")
        .await;

    let others = world().replace(
        "secrets = {",
        "event_types = [\"Microsoft.KeyVault.SecretExpired\"]\nsecrets = {",
    );
    let installation = Installation::new(&others).await;
    let types = "--included-event-types Microsoft.KeyVault.SecretExpired Microsoft.KeyVault.SecretNewVersionCreated";
    installation
        .finds(
            "leaves Microsoft.KeyVault.SecretNewVersionCreated out",
            types,
        )
        .await;

    let some = world().replace(
        "secrets = {",
        "subject_begins_with = \"SQLSERVER\"\nsecrets = {",
    );
    let installation = Installation::new(&some).await;
    let clear = "--resource-group shop --system-topic-name contoso-kv --name keyrelay-contoso-kv --subject-begins-with";
    installation
        .finds("the filter of keyrelay-contoso-kv leaves sql out", clear)
        .await;

    let all = world().replace("secrets = {", "subject_begins_with = \"SQ\"\nsecrets = {");
    assert_eq!(
        Installation::new(&all)
            .await
            .rotated()
            .await
            .failures()
            .await,
        []
    );
}

#[tokio::test]
async fn references_that_do_not_resolve() {
    let gone = world().replacen("SecretName=sql)", "SecretName=gone)", 1);
    Installation::new(&gone)
        .await
        .finds("orders SQL: SecretNotFound", "create it, recover it")
        .await;

    let denied = world().replace("secrets = {", "denies = [\"orders\"]\nsecrets = {");
    let installation = Installation::new(&denied).await.rotated().await;
    installation
        .finds_only(
            "orders SQL: AccessToKeyVaultDenied",
            "Key Vault Secrets User",
        )
        .await;
}

#[tokio::test]
async fn an_app_without_an_identity() {
    let without = world().replace("name = \"orders\"", "name = \"orders\"\nidentity = false");
    let installation = Installation::new(&without).await;
    installation
        .finds(
            "orders SQL: MSINotEnabled",
            "switch on its system-assigned identity",
        )
        .await;
    installation
        .finds("identity of references", "az webapp identity assign")
        .await;
}

#[tokio::test]
async fn a_scope_that_is_not_there_or_has_no_references() {
    let mut installation = Installation::new(&world()).await.rotated().await;
    let scope =
        "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/gone".to_owned();
    installation.variables = vec![("KEYRELAY_SCOPE", Some(scope))];
    installation
        .finds_only("resourceGroups/gone", "correct `scope`")
        .await;

    let nothing = world().replace(
        "@Microsoft.KeyVault(VaultName=contoso-kv;SecretName=sql)",
        "plain",
    );
    let installation = Installation::new(&nothing).await.rotated().await;
    installation
        .finds_only("none of 2 apps references a secret", "@Microsoft.KeyVault(")
        .await;

    let mut installation = Installation::new(&world()).await.rotated().await;
    installation.variables = vec![("WEBSITE_SITE_NAME", None)];
    installation
        .finds("no app will ever be found", "KEYRELAY_SCOPE")
        .await;
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
            "policy new: policies.lock does not know it",
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
    let done = installation.doctor(&["--site", site]).await;
    let said = done.output;
    assert!(
        done.code == Some(1) && said.contains("ok    site: "),
        "{said}{}",
        done.errors
    );
    // The fix names the identity that was found.
    let id = said
        .split("--assignee-object-id ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    assert!(id.len() == 36 && said.contains("refresh/action"), "{said}");
}
