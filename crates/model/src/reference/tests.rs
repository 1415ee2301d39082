use super::syntax::CLOUD_SUFFIXES;
use super::*;

const SUFFIX: &str = "vault.azure.net";
const V1: &str = "0c7751761b5a4ca09f3deec5fba4af83";
const V2: &str = "ee059b2bb5bc48398a53b168c6cdcb10";

fn target(vault: &str, secret: &str, version: Option<&str>) -> Target {
    Target {
        vault_host: vault.parse().unwrap(),
        secret: secret.parse().unwrap(),
        version: version.map(|version| version.parse().unwrap()),
    }
}

fn parse(text: &str) -> Reference {
    let reference =
        Reference::parse(text, SUFFIX).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(
        reference.to_string(),
        text,
        "a reference is rendered as it was written"
    );
    reference
}

/// Parses `text`, points it at `version`, and compares.
#[track_caller]
fn check_moved(text: &str, version: Option<&str>, expected: &str) {
    let reference = parse(text);
    let target = Target {
        version: version.map(|version| version.parse().unwrap()),
        ..reference.target().clone()
    };
    let moved = reference.with_target(target.clone());
    assert_eq!(moved.to_string(), expected);
    assert_eq!(
        Reference::parse(expected, SUFFIX).unwrap().target(),
        &target
    );
}

#[test]
fn all_forms_are_parsed() {
    let without = target("kv.vault.azure.net", "s", None);
    let with = target("kv.vault.azure.net", "s", Some(V1));
    for (text, expected) in [
        (
            "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s)".to_owned(),
            &without,
        ),
        (
            "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s/)".to_owned(),
            &without,
        ),
        (
            format!("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s/{V1})"),
            &with,
        ),
        (
            format!("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s/{V1}/)"),
            &with,
        ),
        (
            format!(
                "@microsoft.keyvault( secreturi = HTTPS://KV.vault.azure.net:443/Secrets/s/{V1} )"
            ),
            &with,
        ),
        (
            "@Microsoft.KeyVault(VaultName=kv;SecretName=s)".to_owned(),
            &without,
        ),
        (
            "@Microsoft.KeyVault(VaultName=kv;SecretName=s;)".to_owned(),
            &without,
        ),
        (
            "@Microsoft.KeyVault(VaultName=kv;SecretName=s;SecretVersion=)".to_owned(),
            &without,
        ),
        (
            format!("@Microsoft.KeyVault(VaultName=kv;SecretName=s;SecretVersion={V1})"),
            &with,
        ),
        (
            format!("@MICROSOFT.KEYVAULT(secretversion={V1}; SecretName = s ;vaultname=KV)"),
            &with,
        ),
    ] {
        assert_eq!(parse(&text).target(), expected, "{text}");
    }
}

#[test]
fn every_cloud_has_its_suffix() {
    for suffix in CLOUD_SUFFIXES {
        let text = format!("@Microsoft.KeyVault(SecretUri=https://kv.{suffix}/secrets/s)");
        assert_eq!(parse(&text).target().vault_host.suffix(), suffix);
        let named =
            Reference::parse("@Microsoft.KeyVault(VaultName=kv;SecretName=s)", suffix).unwrap();
        assert_eq!(named.target().vault_host.as_str(), format!("kv.{suffix}"));
    }
    let custom = "@Microsoft.KeyVault(SecretUri=https://kv.vault.contoso.example/secrets/s)";
    assert!(Reference::parse(custom, SUFFIX).is_err());
    assert!(Reference::parse(custom, "vault.contoso.example").is_ok());
}

#[test]
fn an_ordinary_value_is_not_a_reference() {
    for text in [
        "",
        "value",
        "@Microsoft.KeyVault",
        " @Microsoft.KeyVault(VaultName=kv;SecretName=s)",
        "@Microsoft.KeyVaülter",
    ] {
        assert_eq!(
            Reference::parse(text, SUFFIX),
            Err(ReferenceError::NotAReference),
            "{text}"
        );
    }
}

#[test]
fn a_broken_reference_is_invalid() {
    for inner in [
        "",
        "SecretUri",
        "SecretUri=",
        "SecretUri=kv",
        "SecretUri=http://kv.vault.azure.net/secrets/s",
        "SecretUri=https://kv.vault.azure.net",
        "SecretUri=https://kv.vault.azure.net/secrets",
        "SecretUri=https://kv.vault.azure.net/secrets/",
        "SecretUri=https://kv.vault.azure.net/secrets//",
        "SecretUri=https://kv.vault.azure.net/secrets/s//",
        "SecretUri=https://kv.vault.azure.net/secrets/s/v/x",
        "SecretUri=https://kv.vault.azure.net/keys/s",
        "SecretUri=https://kv.vault.azure.net.evil.example/secrets/s",
        "SecretUri=https://user@kv.vault.azure.net/secrets/s",
        "SecretUri=https://kv.vault.azure.net/secrets/s?x=y",
        "VaultName=kv",
        "SecretName=s",
        "VaultName=kv,SecretName=s",
        "VaultName=kv.vault.azure.net;SecretName=s",
        "VaultName=kv;SecretName=s;SecretName=t",
        "VaultName=kv;SecretName=s;Other=x",
        "VaultName=kv;SecretName=a b",
    ] {
        let text = format!("@Microsoft.KeyVault({inner})");
        assert!(
            matches!(
                Reference::parse(&text, SUFFIX),
                Err(ReferenceError::Invalid(_))
            ),
            "{text}"
        );
    }
    for text in [
        "@Microsoft.KeyVault(",
        "@Microsoft.KeyVault(VaultName=kv;SecretName=s",
        "@Microsoft.KeyVault(VaultName=kv;SecretName=s) ",
    ] {
        assert!(
            matches!(
                Reference::parse(text, SUFFIX),
                Err(ReferenceError::Invalid(_))
            ),
            "{text}"
        );
    }
}

#[test]
fn only_the_version_changes_in_an_address() {
    let at = |tail: &str| {
        format!("@microsoft.keyvault( SecretUri=https://KV.vault.azure.net/secrets/S{tail} )")
    };
    for (before, version, after) in [
        (String::new(), Some(V2), format!("/{V2}")),
        ("/".to_owned(), Some(V2), format!("/{V2}")),
        (format!("/{V1}"), Some(V2), format!("/{V2}")),
        (format!("/{V1}/"), Some(V2), format!("/{V2}/")),
        (format!("/{V1}"), None, "/".to_owned()),
        (format!("/{V1}/"), None, "/".to_owned()),
        (String::new(), None, String::new()),
        ("/".to_owned(), None, "/".to_owned()),
    ] {
        check_moved(&at(&before), version, &at(&after));
    }
}

#[test]
fn only_the_version_changes_among_parameters() {
    let at = |inner: &str| format!("@Microsoft.KeyVault({inner})");
    for (before, version, after) in [
        (
            "vaultname=KV; SecretName=s",
            Some("2"),
            "vaultname=KV; SecretName=s;SecretVersion=2",
        ),
        (
            "VaultName=kv;SecretName=s;",
            Some("2"),
            "VaultName=kv;SecretName=s;SecretVersion=2;",
        ),
        (
            "VaultName=kv;SecretName=s;SecretVersion=",
            Some("2"),
            "VaultName=kv;SecretName=s;SecretVersion=2",
        ),
        (
            "SecretVersion= 1 ;VaultName=kv;SecretName=s",
            Some("2"),
            "SecretVersion= 2 ;VaultName=kv;SecretName=s",
        ),
        (
            "VaultName=kv;SecretVersion=1;SecretName=s",
            None,
            "VaultName=kv;SecretName=s",
        ),
        (
            "VaultName=kv;SecretName=s;SecretVersion=1",
            None,
            "VaultName=kv;SecretName=s",
        ),
    ] {
        check_moved(&at(before), version, &at(after));
    }
}

#[test]
fn vault_and_secret_change_within_the_form() {
    let moved = |text: &str, vault: &str| {
        parse(text)
            .with_target(target(vault, "t", Some(V2)))
            .to_string()
    };
    assert_eq!(
        moved(
            "@Microsoft.KeyVault(VaultName=kv;SecretName=s)",
            "kw.vault.azure.net"
        ),
        format!("@Microsoft.KeyVault(VaultName=kw;SecretName=t;SecretVersion={V2})")
    );
    let address =
        format!("@Microsoft.KeyVault(SecretUri=https://kw.vault.azure.cn/secrets/t/{V2})");
    assert_eq!(
        moved(
            "@Microsoft.KeyVault(VaultName=kv;SecretName=s)",
            "kw.vault.azure.cn"
        ),
        address
    );
    assert_eq!(
        moved(
            "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s)",
            "kw.vault.azure.cn"
        ),
        address
    );
}

#[test]
fn an_empty_version_stays_if_only_the_vault_changes() {
    let text = "@Microsoft.KeyVault(VaultName=kv;SecretVersion=;SecretName=s)";
    let moved = parse(text).with_target(target("kw.vault.azure.net", "s", None));
    assert_eq!(moved.to_string(), text.replace("kv", "kw"));
}

#[test]
fn a_target_in_another_case_changes_no_spelling() {
    let uri = format!("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/S/{V1})");
    let names = format!("@Microsoft.KeyVault(VaultName=kv;SecretName=S;SecretVersion={V1})");
    for text in [uri, names] {
        let version = V1.to_uppercase();
        let moved = |vault| parse(&text).with_target(target(vault, "s", Some(&version)));
        let same = moved("kv.vault.azure.net");
        assert_eq!(same.to_string(), text);
        assert_eq!(same.target().secret.as_str(), "S");
        assert_eq!(
            moved("kw.vault.azure.net").to_string(),
            text.replace("kv.", "kw.").replace("=kv", "=kw")
        );
    }
}

#[test]
fn a_new_reference_is_written_the_documented_way() {
    let write = |version| Reference::to(target("kv.vault.azure.net", "s", version)).to_string();
    assert_eq!(
        write(None),
        "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s/)"
    );
    assert_eq!(
        write(Some(V1)),
        format!("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/s/{V1})")
    );
}

mod laws {
    use proptest::prelude::*;

    use super::*;

    fn any_version() -> impl Strategy<Value = Option<String>> {
        proptest::option::of("[0-9a-f]{32}")
    }

    /// References as people write them: both forms, any case, order, spacing and slashes.
    fn any_reference() -> impl Strategy<Value = String> {
        let start = prop_oneof![
            Just("@Microsoft.KeyVault("),
            Just("@microsoft.keyvault("),
            Just("@MICROSOFT.KEYVAULT(")
        ];
        let space = || prop_oneof![4 => Just(""), 1 => Just(" ")];
        let slash = prop_oneof![Just(""), Just("/")];
        let names = (
            "[a-zA-Z][a-zA-Z0-9]{2,10}",
            "[a-zA-Z0-9-]{1,20}",
            any_version(),
        );
        (start, names, space(), space(), slash, any::<bool>(), any::<bool>()).prop_map(
            |(start, (vault, secret, version), before, after, slash, by_address, turned)| {
                let version = version.unwrap_or_default();
                if by_address {
                    let version = if version.is_empty() { version } else { format!("/{version}") };
                    return format!("{start}SecretUri={before}https://{vault}.vault.azure.net/secrets/{secret}{version}{slash}{after})");
                }
                let mut parts = vec![format!("VaultName={before}{vault}{after}"), format!("SecretName={secret}")];
                if !version.is_empty() {
                    parts.push(format!("{before}SecretVersion={version}"));
                }
                if turned {
                    parts.reverse();
                }
                format!("{start}{})", parts.join(";"))
            },
        )
    }

    proptest! {
        #[test]
        fn parse_and_render_is_the_identity(text in any_reference()) {
            prop_assert_eq!(Reference::parse(&text, SUFFIX).unwrap().to_string(), text);
        }

        #[test]
        fn a_moved_reference_points_where_it_was_told(text in any_reference(), vault in "[a-z]{3,9}", secret in "[a-z-]{1,9}", version in any_version()) {
            let wanted = target(&format!("{vault}.vault.azure.net"), &secret, version.as_deref());
            let moved = Reference::parse(&text, SUFFIX).unwrap().with_target(wanted.clone());
            prop_assert_eq!(moved.target(), &wanted);
            let parsed = Reference::parse(&moved.to_string(), SUFFIX).unwrap();
            prop_assert_eq!(parsed.target(), &wanted);
        }

        #[test]
        fn moving_there_and_back_keeps_a_pinned_reference(text in any_reference(), version in "[0-9a-f]{32}") {
            let reference = Reference::parse(&text, SUFFIX).unwrap();
            prop_assume!(reference.target().version.is_some());
            let away = Target { version: Some(version.parse().unwrap()), ..reference.target().clone() };
            prop_assert_eq!(reference.with_target(away).with_target(reference.target().clone()).to_string(), text);
        }

        #[test]
        fn no_text_makes_parsing_panic(text in "@Microsoft.KeyVault\\(.{0,60}") {
            let _ = Reference::parse(&text, SUFFIX);
        }
    }
}
