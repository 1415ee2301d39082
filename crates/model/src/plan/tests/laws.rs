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

fn any_name() -> impl Strategy<Value = SettingName> {
    prop::sample::select(&NAMES[..]).prop_map(name)
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
    let value = prop_oneof![3 => any_reference(), 1 => Just(text())];
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
    prop::collection::btree_map(any_name(), value, 0..7).prop_map(|all| all.into_iter().collect())
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let names = || {
        prop::collection::vec(
            prop::sample::select(vec!["*", "SQL*", "NEW", "AzureWebJobsStorage"]),
            0..3,
        )
    };
    (names(), names(), any::<bool>(), any::<bool>()).prop_map(|(set, remove, other, text)| {
        let secrets: &[&str] = if other { &["other", "kw/sql"] } else { &[] };
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
}
