//! Properties that hold for all patches, settings and grants.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 7] = [
    "SQL",
    "SQL_NEWEST",
    "OTHER",
    "USER",
    "NEW",
    "AzureWebJobsStorage",
    "WEBSITE_X",
];

/// Names that the platform reads like another one: of the app, of the patch, or a protected one.
const DISGUISES: [&str; 12] = [
    "sql",
    "SQL.NEWEST",
    "Sql:Newest",
    "Sql__Newest",
    "new",
    "ldap_url",
    "LD.PRELOAD",
    "ld-preload",
    "AzureFunctionsJobHost:x",
    "azurewebjobsstorage",
    "JAVA.TOOL_OPTIONS",
    "No.Proxy",
];

/// The names among [`NAMES`] and [`DISGUISES`] that are protected, listed by hand.
const PROTECTED_NAMES: [&str; 8] = [
    "AzureWebJobsStorage",
    "WEBSITE_X",
    "LD.PRELOAD",
    "ld-preload",
    "AzureFunctionsJobHost:x",
    "azurewebjobsstorage",
    "JAVA.TOOL_OPTIONS",
    "No.Proxy",
];

fn any_name() -> impl Strategy<Value = SettingName> {
    prop_oneof![
        4 => prop::sample::select(&NAMES[..]).prop_map(name),
        3 => prop::sample::select(&DISGUISES[..]).prop_map(name),
        1 => "[A-Za-z0-9_.:-]{1,8}".prop_map(|text| name(&text)),
    ]
}

/// A name that Azure may list: of any characters.
fn listed_name() -> impl Strategy<Value = SettingName> {
    prop_oneof![
        6 => any_name(),
        1 => "[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Z}\\p{C}]{1,8}".prop_map(SettingName::listed),
    ]
}

/// Text, often one that Azure reads as a reference, or almost.
fn any_text() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec!["", " ", "\n\t", "\u{feff}", "\u{a0}", "\0", "x"]);
    let prefix = prop::sample::select(vec![
        "@Microsoft.KeyVault(",
        "@MICROSOFT.keyvault(",
        "@Micro\u{17f}oft.KeyVault(",
        "@Microsoft.AppConfiguration(",
        "@Microsoft",
    ]);
    let inner = prop::sample::select(vec![
        "SecretUri=https://kv.vault.azure.net/secrets/sql/",
        "SecretUri=https://prod-kv.vault.azure.net/secrets/admin",
        "VaultName=kw;SecretName=sql",
        "secretname = admin ; vaultname = prod-kv",
        "SecretUri=https://evil.example/secrets/sql",
        "planted",
    ]);
    let end = prop::sample::select(vec![")", " )", ")\n", "", "))"]);
    prop_oneof![
        1 => Just("planted-text".to_owned()),
        1 => "\\PC{0,20}",
        3 => (start, prefix, inner, end).prop_map(|(start, prefix, inner, end)| format!("{start}{prefix}{inner}{end}")),
    ]
}

fn any_reference() -> impl Strategy<Value = NewValue> {
    let version = prop_oneof![Just(None), Just(Some(V1)), Just(Some(V2))];
    (
        prop_oneof![Just("kv"), Just("kw")],
        prop_oneof![Just("sql"), Just("other")],
        version,
    )
        .prop_map(|(vault, secret, version)| to(vault, secret, version))
}

fn any_patch() -> impl Strategy<Value = Patch> {
    let written = any_text().prop_map(|text| NewValue::Text(SettingValue::new(text)));
    let value = prop_oneof![3 => any_reference(), 2 => written];
    let set = prop::collection::btree_map(any_name(), value, 0..4)
        .prop_map(|set| set.into_iter().collect());
    (set, prop::collection::vec(any_name(), 0..2)).prop_map(|(set, remove)| Patch { set, remove })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let value = prop_oneof![
        2 => any_reference().prop_map(|value| match value {
            NewValue::Reference(target) => SettingValue::from(&Reference::to(target)),
            NewValue::Text(text) => text,
        }),
        1 => Just(SettingValue::new(PLAIN)),
    ];
    prop::collection::btree_map(listed_name(), value, 0..7)
        .prop_map(|all| all.into_iter().collect())
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let names = || {
        prop::collection::vec(
            prop::sample::select(vec!["*", "SQL*", "L*", "NEW", "AzureWebJobsStorage"]),
            0..3,
        )
    };
    (names(), names(), any::<bool>(), any::<bool>()).prop_map(|(set, remove, other, text)| {
        let secrets: &[&str] = if other { &["kv/other", "kw/sql"] } else { &[] };
        grant(&set, &remove, secrets, text)
    })
}

proptest! {
    #[test]
    fn a_plan_applied_leaves_nothing_to_do(patch in any_patch(), settings in any_settings(), grant in any_grant()) {
        if let Ok(first) = plan(&patch, &event(), &settings, &grant, SUFFIX) {
            let applied = first.apply_to(&settings);
            prop_assert!(first.is_in(&applied));
            // The first write may have removed the default grant (a setting moved to another
            // secret), so the second plan is checked only if the explicit grants suffice.
            if let Ok(second) = plan(&patch, &event(), &applied, &grant, SUFFIX) {
                prop_assert!(second.is_empty(), "{:?}", second.describe(SUFFIX));
            }
            prop_assert_eq!(first.roll_back(&applied).apply_to(&applied), settings);
        }
    }

    #[test]
    fn the_set_loses_only_what_was_granted_to_go(patch in any_patch(), settings in any_settings(), grant in any_grant()) {
        if let Ok(plan) = plan(&patch, &event(), &settings, &grant, SUFFIX) {
            let applied = plan.apply_to(&settings);
            for name in settings.names().filter(|name| applied.get(name).is_none()) {
                prop_assert!(patch.remove.contains(name) && grant.may_remove(name));
            }
        }
    }

    #[test]
    fn nothing_changes_but_what_the_patch_names(patch in any_patch(), settings in any_settings(), grant in any_grant()) {
        if let Ok(plan) = plan(&patch, &event(), &settings, &grant, SUFFIX) {
            let applied = plan.apply_to(&settings);
            for (name, value) in settings.iter() {
                let named = patch.remove.contains(name) || patch.set.iter().any(|(set, _)| set == name);
                prop_assert!(named || applied.get(name) == Some(value));
            }
        }
    }

    #[test]
    fn without_a_grant_only_references_to_the_events_secret_change(patch in any_patch(), settings in any_settings()) {
        if let Ok(plan) = plan(&patch, &event(), &settings, &Grant::default(), SUFFIX) {
            for (_, Change { before, after }) in plan.changes() {
                for value in [before, after] {
                    let reference = value.as_ref().unwrap().reference(SUFFIX).unwrap();
                    prop_assert!(reference.target().is_of(&event()));
                }
            }
        }
    }

    #[test]
    fn no_plan_shows_plain_text(patch in any_patch(), settings in any_settings(), grant in any_grant()) {
        let shown = match plan(&patch, &event(), &settings, &grant, SUFFIX) {
            Ok(plan) => format!("{plan:?} {plan} {:?} {patch:?}", plan.describe(SUFFIX)),
            Err(refusal) => format!("{refusal:?} {refusal}"),
        };
        prop_assert!(!shown.contains("planted"), "{shown}");
    }

    #[test]
    fn what_azure_resolves_is_a_reference_that_was_granted(patch in any_patch(), settings in any_settings(), grant in any_grant()) {
        if let Ok(plan) = plan(&patch, &event(), &settings, &grant, SUFFIX) {
            for (name, change) in plan.changes() {
                let Some(after) = &change.after else { continue };
                let Ok(reference) = after.reference(SUFFIX) else {
                    // Azure trims, and compares without case.
                    let seen: String = after.expose().chars().filter(char::is_ascii_graphic).collect();
                    prop_assert!(!seen.to_ascii_lowercase().starts_with("@microsoft."), "{name}: {seen}");
                    continue;
                };
                let (vault, secret) = (reference.target().vault_host.vault(), reference.target().secret.as_str());
                let is_own = (vault, secret) == ("kv", "sql");
                let granted = format!("{vault}/{secret}");
                prop_assert!(is_own || grant.secrets.iter().any(|it| it.to_string() == granted), "{name}: {granted}");
            }
        }
    }

    #[test]
    fn a_protected_name_changes_only_if_it_is_named_or_follows(patch in any_patch(), settings in any_settings(), grant in any_grant()) {
        if let Ok(plan) = plan(&patch, &event(), &settings, &grant, SUFFIX) {
            for (name, change) in plan.changes().filter(|(name, _)| PROTECTED_NAMES.contains(&name.as_str())) {
                let is_own = |value: &Option<SettingValue>| {
                    let reference = value.as_ref().and_then(|value| value.reference(SUFFIX).ok());
                    reference.is_some_and(|it| it.target().is_of(&event()))
                };
                let list = if change.after.is_some() { &grant.set } else { &grant.remove };
                let is_named = list.iter().any(|it| it.as_str() == name.as_str());
                prop_assert!(is_named || (is_own(&change.before) && is_own(&change.after)), "{name}");
            }
        }
    }

    #[test]
    fn no_plan_adds_a_twin(patch in any_patch(), settings in any_settings(), grant in any_grant()) {
        if let Ok(plan) = plan(&patch, &event(), &settings, &grant, SUFFIX) {
            let applied = plan.apply_to(&settings);
            let flat = |name: &SettingName| name.as_str().to_ascii_lowercase().replace(':', "__").replace(['.', '-'], "_");
            for new in applied.names().filter(|name| settings.get(name).is_none()) {
                prop_assert!(applied.names().filter(|other| flat(other) == flat(new)).count() == 1, "{new}");
            }
        }
    }

    #[test]
    fn a_name_is_its_own_twin_and_every_twin_is_mutual(one in listed_name(), other in listed_name()) {
        prop_assert!(one.same_to_platform(&one));
        prop_assert_eq!(one.same_to_platform(&other), other.same_to_platform(&one));
    }
}
