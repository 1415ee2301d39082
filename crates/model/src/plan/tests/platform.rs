//! Checks of patches as the platform reads them: texts that are references, and names in disguise.

use super::grants::{check_allowed, check_refused};
use super::*;

fn text_of(text: &str) -> NewValue {
    NewValue::Text(SettingValue::new(text))
}

fn all() -> Grant {
    grant(&["*"], &["*"], &["kv/other"], true)
}

#[test]
fn text_that_is_a_reference_needs_the_grant_of_its_secret() {
    let uri = "SecretUri=https://prod-kv.vault.azure.net/secrets/admin/";
    let name = "VaultName=prod-kv;SecretName=admin";
    for text in [
        format!("@Microsoft.KeyVault({uri})"),
        format!("@Microsoft.KeyVault({name})"),
        format!("@MICROSOFT.keyvault({name})"),
        format!(" \t\r\n@Microsoft.KeyVault({uri})\n"),
        format!("\u{a0}\u{feff}@microsoft.KEYVAULT({uri})\u{200b}"),
    ] {
        check_refused(
            &set(&[("USER", text_of(&text))]),
            &all(),
            &[
                "the policy may not reference secret `admin` of `prod-kv.vault.azure.net` in `USER`: missing grant `secrets = [\"prod-kv/admin\"]`",
            ],
        );
    }
}

#[test]
fn text_that_is_a_reference_is_written_as_one() {
    let other = reference("kv", "other", None);
    let expected = format!("USER: (plain text) -> {other}");
    let text = text_of(" @microsoft.keyvault(VaultName=kv;SecretName=other)");
    check_allowed(&set(&[("USER", text)]), &all(), &[&expected]);
    let without_text = grant(&["USER"], &[], &["kv/other"], false);
    check_allowed(
        &set(&[("USER", text_of(&other))]),
        &without_text,
        &[&expected],
    );
    // Its own secret needs no grant, as a reference to it.
    let own = reference("kv", "sql", Some(V2));
    let expected = format!("SQL: {} -> {own}", reference("kv", "sql", Some(V1)));
    check_allowed(
        &set(&[("SQL", text_of(&own))]),
        &Grant::default(),
        &[&expected],
    );
}

#[test]
fn text_that_begins_like_a_reference_is_refused() {
    for text in [
        "@Microsoft.KeyVault(SecretUri=https://prod-kv.vault.azure.net/secrets/admin/",
        "@Microsoft.KeyVault(SecretUri=https://prod-kv.example/secrets/admin/)",
        "@Microsoft.KeyVault",
        "@Microsoft.AppConfiguration(Endpoint=https://a.azconfig.io; Key=k)",
        "  @MICROSOFT.anything",
        "\0@Micro\u{17f}oft.KeyVault(VaultName=prod-kv;SecretName=admin)",
    ] {
        check_refused(
            &set(&[("USER", text_of(text))]),
            &all(),
            &[
                "the policy may not write text into `USER` that begins with `@Microsoft.` and is no valid Key Vault reference: write a reference",
            ],
        );
    }
    for text in [
        "@Microsoft",
        "user@Microsoft.com",
        "x @Microsoft.KeyVault()",
        "",
    ] {
        check_allowed(
            &set(&[("USER", text_of(text))]),
            &all(),
            &["USER: (plain text) -> (plain text)"],
        );
    }
}

#[test]
fn a_protected_name_in_disguise_is_protected() {
    for name in ["LD.PRELOAD", "AzureFunctionsJobHost:x", "Java.Tool-Options"] {
        check_refused(
            &set(&[(name, text())]),
            &all(),
            &[&format!(
                "the policy may not set `{name}`: missing grant `set = [\"{name}\"]` (a protected name: patterns do not grant it)"
            )],
        );
        let literal = grant(&[name], &[], &[], true);
        let expected = format!("{name}: (absent) -> (plain text)");
        check_allowed(&set(&[(name, text())]), &literal, &[&expected]);
    }
}

#[test]
fn twins_in_one_patch_are_refused() {
    for (one, other) in [
        ("NEW", "new"),
        ("A.B", "A_B"),
        ("A:B", "A__B"),
        ("A:B", "a.b"),
    ] {
        let expected = format!(
            "the policy names `{other}` and `{one}`, which a platform may read as one setting: use one of them"
        );
        check_refused(
            &set(&[(one, text()), (other, text())]),
            &all(),
            &[&expected],
        );
        let removed = Patch {
            remove: vec![name(other)],
            ..set(&[(one, text())])
        };
        check_refused(&removed, &all(), &[&expected]);
    }
}

#[test]
fn twins_that_the_app_has_follow_their_own_secret() {
    let mut settings = settings();
    for twin in ["Sql:Password", "Sql__Password"] {
        settings.set(name(twin), SettingValue::new(reference("kv", "sql", None)));
    }
    let pinned = || to("kv", "sql", Some(V2));
    let both = [("Sql:Password", pinned()), ("Sql__Password", pinned())];
    let plan_of = |patch: &Patch, grant: &Grant| plan(patch, &event(), &settings, grant, SUFFIX);
    assert!(plan_of(&set(&both), &Grant::default()).is_ok());
    let twice = [both[0].clone(), both[1].clone(), both[1].clone()];
    let refusal = plan_of(&set(&twice), &all()).unwrap_err();
    assert!(matches!(
        refusal.objections[..],
        [Objection::NamedTwice { .. }]
    ));
    let one_more = set(&[both[0].clone(), ("Sql__Password", text())]);
    assert!(plan_of(&one_more, &all()).is_err());
}

#[test]
fn a_twin_of_an_existing_setting_is_refused() {
    check_refused(
        &set(&[("SQL.NEWEST", text())]),
        &all(),
        &["the policy sets `SQL.NEWEST`, but the app has `SQL_NEWEST`: use that spelling"],
    );
}
