//! Findings about each of several vaults: its kind, its versions, its events.

use super::installation::{Installation, ROLE, WORLD, world};

const OWN: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/shop/providers/Microsoft.Web/sites/keyrelay";

/// Other subscriptions than that of the apps.
const NEAR: &str = "00000000-0000-0000-0000-000000000002";
const FAR: &str = "00000000-0000-0000-0000-000000000003";

/// The role, and the right to see vaults.
fn reader() -> String {
    let permissions = "\"Microsoft.Authorization/permissions/read\"";
    let wanted = "\"Microsoft.Authorization/*/read\", \"Microsoft.KeyVault/vaults/read\", \"Microsoft.Web/sites/config/list/action\"";
    ROLE.replace(permissions, wanted)
}

/// A vault in another group, with these lines.
fn vault(name: &str, subscription: &str, lines: &str) -> String {
    format!(
        "[[vault]]\nname = \"{name}\"\nresource_group = \"{name}-group\"\nsubscription = \"{subscription}\"\n{lines}\n"
    )
}

fn policy(identity: &str, permissions: &str) -> String {
    format!("[[vault.access_policy]]\nidentity = \"{identity}\"\nsecrets = [{permissions}]\n")
}

/// The world with the vault `contoso-kv`, which has access policies: that of keyrelay has these
/// permissions.
fn with_policies(permissions: &str) -> String {
    let policies = [
        policy("orders", "\"Get\""),
        policy("orders/staging", "\"Get\""),
        policy("keyrelay", permissions),
    ];
    let secrets = "secrets = { sql = \"planted-value-1\" }\n";
    let lines = format!("access_policies = true\n{secrets}{}", policies.concat());
    format!("{}{}", WORLD.replace(secrets, &lines), reader())
}

#[tokio::test]
async fn each_of_several_vaults_in_several_subscriptions() {
    let vaults = [
        vault("near-kv", NEAR, "secrets = { a = \"planted-value-4\" }"),
        vault(
            "far-kv",
            FAR,
            &format!("access_policies = true\n{}", policy("keyrelay", "\"List\"")),
        ),
    ];
    let world = format!("{WORLD}{}{}", vaults.concat(), reader());
    let mut installation = Installation::new(&world).await.rotated().await;
    installation.variables = vec![(
        "KEYRELAY_VAULTS",
        Some("contoso-kv,near-kv,far-kv".to_owned()),
    )];
    let done = installation.doctor_unwrapped(&[]).await;
    for line in [
        "ok    vault: contoso-kv: the versions of sql can be listed: 2; kind: roles",
        "ok    vault: near-kv: versions can be listed, and no app references a secret; kind: roles",
        "ok    vault: far-kv: versions can be listed, and no app references a secret; kind: access policies",
        "ok    events: contoso-kv: keyrelay-contoso-kv delivers them",
        "ok    events: near-kv: keyrelay-near-kv delivers them",
        "ok    events: far-kv: keyrelay-far-kv delivers them",
    ] {
        assert!(done.output.contains(line), "{line}: {}", done.output);
    }
    assert_eq!(done.code, Some(0), "{}{}", done.output, done.errors);
}

#[tokio::test]
async fn one_of_several_vaults_without_events() {
    let vaults = [
        vault("near-kv", NEAR, ""),
        vault("far-kv", FAR, "subscribed = false"),
    ];
    let world = format!("{WORLD}{}{}", vaults.concat(), reader());
    let mut installation = Installation::new(&world).await.rotated().await;
    installation.variables = vec![(
        "KEYRELAY_VAULTS",
        Some("contoso-kv,near-kv,far-kv".to_owned()),
    )];
    installation
        .finds_only(
            "events: far-kv: there is no event subscription",
            "TOPIC-OF-far-kv",
        )
        .await;
}

#[tokio::test]
async fn vaults_with_the_same_problem_are_one_finding_with_one_fix() {
    let names = ["near-kv", "far-kv", "third-kv"];
    let vaults = names.map(|name| {
        let lines = "denies = [\"keyrelay\"]\nsubscribed = false";
        vault(name, NEAR, lines)
    });
    let world = format!("{WORLD}{}{}", vaults.concat(), reader());
    let mut installation = Installation::new(&world).await.rotated().await;
    let all = format!("contoso-kv,{}", names.join(","));
    installation.variables = vec![("KEYRELAY_VAULTS", Some(all))];
    let findings = installation.findings(&["--failed"]).await;
    let [versions, events] = &findings[..] else {
        panic!("{findings:#?}");
    };
    for (finding, what) in [(versions, "vault"), (events, "events")] {
        assert_eq!(finding["what"], what, "{findings:#?}");
        let expected = serde_json::json!(["far-kv", "near-kv", "third-kv"]);
        assert_eq!(finding["vaults"], expected, "{finding:#}");
        let fix = finding["fix"].as_str().unwrap();
        assert!(
            fix.starts_with("for vault in far-kv near-kv third-kv; do az "),
            "{fix}"
        );
    }
    let output = installation.doctor(&["--failed"]).await.output;
    let words = "FAIL  events: 3 vaults: there is no event subscription\n      vaults: far-kv, near-kv, third-kv\n";
    assert!(output.contains(words), "{output}");
}

#[tokio::test]
async fn the_advice_about_versions_is_that_for_the_kind_of_vault() {
    let denied = format!("{WORLD}{}", reader());
    let denied = denied.replace("secrets = {", "denies = [\"keyrelay\"]\nsecrets = {");
    let roles = Installation::new(&denied).await.rotated().await;
    let fixes = roles.failures().await;
    let [(words, fix)] = &fixes[..] else {
        panic!("{fixes:#?}");
    };
    let expected = "vault: contoso-kv: the versions of sql cannot be listed";
    assert!(
        words.contains(expected) && words.contains("kind: roles"),
        "{words}"
    );
    assert!(
        fix.contains("--role \"Key Vault Reader\"") && !fix.contains("set-policy"),
        "{fix}"
    );

    let policies = Installation::new(&with_policies("")).await.rotated().await;
    let output = policies.doctor(&["--json", "--site", OWN]).await.output;
    let line = output
        .lines()
        .find(|it| it.contains("cannot be listed"))
        .unwrap();
    let found: serde_json::Value = serde_json::from_str(line).unwrap();
    let (words, fix) = (
        found["message"].as_str().unwrap(),
        found["fix"].as_str().unwrap(),
    );
    assert!(words.contains("kind: access policies"), "{words}");
    let command = "az keyvault set-policy --name contoso-kv --object-id ";
    let after = fix.strip_prefix(command).unwrap();
    let id = after.split(' ').next().unwrap();
    assert!(
        id.len() == 36 && after.contains("--secret-permissions list "),
        "{fix}"
    );
    assert!(!fix.contains("role assignment"), "{fix}");
}

#[tokio::test]
async fn a_vault_whose_kind_may_not_be_read() {
    let installation = Installation::new(&world()).await.rotated().await;
    let findings = installation.findings(&[]).await;
    let vault = findings.iter().find(|it| it["what"] == "vault").unwrap();
    assert_eq!(vault["ok"], true, "{vault}");
    let words = vault["message"].as_str().unwrap();
    let unknown = "the versions of sql can be listed: 2; kind: unknown (";
    assert!(words.contains(unknown), "{words}");
    let check = "az keyvault show --name contoso-kv --query properties.enableRbacAuthorization";
    assert!(words.contains(check), "{words}");

    let denied = world().replace("secrets = {", "denies = [\"keyrelay\"]\nsecrets = {");
    let installation = Installation::new(&denied).await;
    let words = "vault: contoso-kv: the versions of sql cannot be listed";
    installation
        .finds(words, "--role \"Key Vault Reader\"")
        .await;
    installation
        .finds(words, "if it uses access policies: az keyvault set-policy")
        .await;
}

#[tokio::test]
async fn a_policy_that_shows_values_is_a_warning() {
    for (permissions, is_warned) in [
        ("\"List\"", false),
        ("\"List\", \"Get\"", true),
        ("\"all\"", true),
    ] {
        let installation = Installation::new(&with_policies(permissions)).await;
        let installation = installation.rotated().await;
        let done = installation.doctor_unwrapped(&["--site", OWN]).await;
        let output = done.output;
        assert!(output.contains("versions of sql can be listed"), "{output}");
        let warning = "warn  vault: contoso-kv: its access policy gives keyrelay's identity ";
        assert_eq!(
            output.contains(warning),
            is_warned,
            "{permissions}: {output}"
        );
        assert!(!output.contains("FAIL"), "{output}");
    }
}
