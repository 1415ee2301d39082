use super::*;
use crate::event::{ObjectKind, Occurrence};
use crate::names::SecretVersion;

const SUFFIX: &str = "vault.azure.net";
const V1: &str = "0c7751761b5a4ca09f3deec5fba4af83";
const V2: &str = "ee059b2bb5bc48398a53b168c6cdcb10";
const PLAIN: &str = "planted-plain-text";

fn event() -> Event {
    Event {
        id: "e-1".to_owned(),
        vault_host: "kv.vault.azure.net".parse().unwrap(),
        kind: ObjectKind::Secret,
        name: "sql".parse().unwrap(),
        occurrence: Occurrence::NewVersionCreated,
        version: Some(V2.parse().unwrap()),
        time: 0,
        nanoseconds: 0,
        not_before: None,
        expires: None,
    }
}

fn name(text: &str) -> SettingName {
    text.parse().unwrap()
}

fn reference(vault: &str, secret: &str, version: Option<&str>) -> String {
    let version: Option<SecretVersion> = version.map(|version| version.parse().unwrap());
    let vault_host = format!("{vault}.vault.azure.net").parse().unwrap();
    Reference::to(Target {
        vault_host,
        secret: secret.parse().unwrap(),
        version,
    })
    .to_string()
}

/// An app with a reference to the event's secret, pinned and not, one to another secret, plain text and a protected name.
fn settings() -> Settings {
    [
        ("SQL", reference("kv", "sql", Some(V1))),
        ("SQL_NEWEST", reference("kv", "SQL", None)),
        ("OTHER", reference("kv", "other", None)),
        ("USER", PLAIN.to_owned()),
        ("AzureWebJobsStorage", PLAIN.to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| (name(key), SettingValue::new(value)))
    .collect()
}

fn to(vault: &str, secret: &str, version: Option<&str>) -> NewValue {
    let text = reference(vault, secret, version);
    NewValue::Reference(Reference::parse(&text, SUFFIX).unwrap().target().clone())
}

fn text() -> NewValue {
    NewValue::Text(SettingValue::new("new-planted-plain-text"))
}

fn set(values: &[(&str, NewValue)]) -> Patch {
    Patch {
        set: values
            .iter()
            .map(|(key, value)| (name(key), value.clone()))
            .collect(),
        remove: Vec::new(),
    }
}

fn remove(names: &[&str]) -> Patch {
    Patch {
        set: Vec::new(),
        remove: names.iter().map(|key| name(key)).collect(),
    }
}

fn grant(set: &[&str], remove: &[&str], secrets: &[&str], text: bool) -> Grant {
    Grant {
        set: set.iter().map(|pattern| pattern.parse().unwrap()).collect(),
        remove: remove
            .iter()
            .map(|pattern| pattern.parse().unwrap())
            .collect(),
        secrets: secrets
            .iter()
            .map(|secret| secret.parse().unwrap())
            .collect(),
        text,
        ..Grant::default()
    }
}

#[track_caller]
fn check_allowed(patch: &Patch, grant: &Grant, expected: &[&str]) {
    let plan = plan(patch, &event(), &settings(), grant, SUFFIX)
        .unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(plan.describe(SUFFIX), expected);
}

#[track_caller]
fn check_refused(patch: &Patch, grant: &Grant, expected: &[&str]) {
    let refusal = plan(patch, &event(), &settings(), grant, SUFFIX).unwrap_err();
    let objections: Vec<String> = refusal.objections.iter().map(ToString::to_string).collect();
    assert_eq!(objections, expected);
}

#[test]
fn without_a_grant_a_setting_follows_its_own_secret() {
    let patch = set(&[
        ("SQL", to("kv", "sql", Some(V2))),
        ("SQL_NEWEST", to("kv", "sql", Some(V2))),
    ]);
    check_allowed(
        &patch,
        &Grant::default(),
        &[
            &format!(
                "SQL: {} -> {}",
                reference("kv", "sql", Some(V1)),
                reference("kv", "sql", Some(V2))
            ),
            &format!(
                "SQL_NEWEST: {} -> {}",
                reference("kv", "SQL", None),
                reference("kv", "SQL", Some(V2))
            ),
        ],
    );
}

#[test]
fn a_protected_name_follows_its_own_secret_too() {
    let mut settings = settings();
    settings.set(
        name("AzureWebJobsStorage"),
        SettingValue::new(reference("kv", "sql", None)),
    );
    let patch = set(&[("AzureWebJobsStorage", to("kv", "sql", Some(V2)))]);
    assert!(
        !plan(&patch, &event(), &settings, &Grant::default(), SUFFIX)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn without_a_grant_nothing_else_is_set() {
    let to_secret = || to("kv", "sql", Some(V2));
    let none = Grant::default();
    let set_other = "the policy may not set `OTHER`: missing grant `set = [\"OTHER\"]`";
    check_refused(&set(&[("OTHER", to_secret())]), &none, &[set_other]);
    check_refused(
        &set(&[("NEW", to_secret()), ("USER", to_secret())]),
        &none,
        &[
            "the policy may not set `NEW`: missing grant `set = [\"NEW\"]`",
            "the policy may not set `USER`: missing grant `set = [\"USER\"]`",
        ],
    );
    check_refused(
        &set(&[("SQL", to("kv", "other", None))]),
        &none,
        &[
            "the policy may not set `SQL`: missing grant `set = [\"SQL\"]`",
            "the policy may not reference secret `other` of `kv.vault.azure.net` in `SQL`: missing grant `secrets = [\"other\"]`",
        ],
    );
    check_refused(
        &set(&[("SQL", text())]),
        &none,
        &[
            "the policy may not set `SQL`: missing grant `set = [\"SQL\"]`",
            "the policy may not write plain text into `SQL`: missing grant `text = true`",
        ],
    );
    check_refused(
        &remove(&["SQL"]),
        &none,
        &["the policy may not remove `SQL`: missing grant `remove = [\"SQL\"]`"],
    );
}

#[test]
fn each_grant_allows_what_it_says_and_no_more() {
    let new = reference("kv", "sql", Some(V2));
    check_allowed(
        &set(&[("NEW", to("kv", "sql", Some(V2)))]),
        &grant(&["N*"], &[], &[], false),
        &[&format!("NEW: (absent) -> {new}")],
    );
    let set_only = grant(&["SQL"], &[], &[], false);
    check_refused(
        &set(&[("SQL", to("other-kv", "sql", None))]),
        &set_only,
        &[
            "the policy may not reference secret `sql` of `other-kv.vault.azure.net` in `SQL`: missing grant `secrets = [\"other-kv/sql\"]`",
        ],
    );
    check_refused(
        &set(&[("SQL", text())]),
        &set_only,
        &["the policy may not write plain text into `SQL`: missing grant `text = true`"],
    );
    let moved = format!(
        "SQL: {} -> {}",
        reference("kv", "sql", Some(V1)),
        reference("other-kv", "sql", None)
    );
    check_allowed(
        &set(&[("SQL", to("other-kv", "sql", None))]),
        &grant(&["SQL"], &[], &["other-kv/sql"], false),
        &[&moved],
    );
    check_allowed(
        &set(&[("USER", text())]),
        &grant(&["USER"], &[], &[], true),
        &["USER: (plain text) -> (plain text)"],
    );
    check_allowed(
        &remove(&["USER"]),
        &grant(&[], &["USER"], &[], false),
        &["USER: (plain text) -> (absent)"],
    );
}

#[test]
fn a_pattern_does_not_grant_a_protected_name() {
    let wide = grant(&["*"], &["*"], &[], true);
    check_refused(
        &set(&[("AzureWebJobsStorage", text())]),
        &wide,
        &[
            "the policy may not set `AzureWebJobsStorage`: missing grant `set = [\"AzureWebJobsStorage\"]` (a protected name: patterns do not grant it)",
        ],
    );
    check_refused(
        &remove(&["AzureWebJobsStorage"]),
        &wide,
        &[
            "the policy may not remove `AzureWebJobsStorage`: missing grant `remove = [\"AzureWebJobsStorage\"]` (a protected name: patterns do not grant it)",
        ],
    );
    check_allowed(
        &remove(&["AzureWebJobsStorage"]),
        &grant(&[], &["AzureWebJobsStorage"], &[], false),
        &["AzureWebJobsStorage: (plain text) -> (absent)"],
    );
}

#[test]
fn a_name_given_twice_is_refused() {
    let to_secret = || to("kv", "sql", Some(V2));
    let twice = set(&[("SQL", to_secret()), ("SQL", to_secret())]);
    check_refused(
        &twice,
        &Grant::default(),
        &["the policy names `SQL` twice in one patch"],
    );
    let both = Patch {
        remove: vec![name("SQL")],
        ..set(&[("SQL", to_secret())])
    };
    check_refused(
        &both,
        &grant(&[], &["SQL"], &[], false),
        &["the policy names `SQL` twice in one patch"],
    );
}

#[test]
fn another_spelling_of_an_existing_setting_is_refused() {
    check_refused(
        &set(&[("user", text())]),
        &grant(&["user"], &[], &[], true),
        &["the policy sets `user`, but the app has `USER`: use that spelling"],
    );
}

#[test]
fn a_key_event_grants_nothing() {
    let event = Event {
        kind: ObjectKind::Key,
        ..event()
    };
    let patch = set(&[("SQL", to("kv", "sql", Some(V2)))]);
    assert!(plan(&patch, &event, &settings(), &Grant::default(), SUFFIX).is_err());
}

#[test]
fn what_is_so_already_is_not_in_the_plan() {
    check_allowed(
        &set(&[("SQL", to("kv", "sql", Some(V1)))]),
        &Grant::default(),
        &[],
    );
    check_allowed(&remove(&["ABSENT"]), &grant(&[], &["*"], &[], false), &[]);
    check_allowed(&Patch::default(), &Grant::default(), &[]);
}

#[test]
fn undoing_leaves_what_somebody_else_has_changed() {
    let patch = set(&[
        ("SQL", to("kv", "sql", Some(V2))),
        ("SQL_NEWEST", to("kv", "sql", Some(V2))),
    ]);
    let plan = plan(&patch, &event(), &settings(), &Grant::default(), SUFFIX).unwrap();
    let applied = plan.apply_to(&settings());
    assert!(plan.is_in(&applied) && !plan.is_in(&settings()));
    assert_eq!(plan.undo(&applied).apply_to(&applied), settings());

    let mut touched = applied.clone();
    touched.set(name("SQL"), SettingValue::new("theirs"));
    let undone = plan.undo(&touched).apply_to(&touched);
    assert_eq!(undone.get(&name("SQL")), Some(&SettingValue::new("theirs")));
    assert_eq!(
        undone.get(&name("SQL_NEWEST")),
        settings().get(&name("SQL_NEWEST"))
    );
}

#[test]
fn the_references_to_wait_for_are_those_that_are_written() {
    let patch = Patch {
        remove: vec![name("OTHER")],
        ..set(&[("SQL", to("kv", "sql", Some(V2))), ("USER", text())])
    };
    let plan = plan(
        &patch,
        &event(),
        &settings(),
        &grant(&["USER"], &["OTHER"], &[], true),
        SUFFIX,
    )
    .unwrap();
    let names: Vec<String> = plan
        .references(SUFFIX)
        .into_iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(names, ["SQL"]);
}

mod laws {
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
        (set, prop::collection::vec(any_name(), 0..2))
            .prop_map(|(set, remove)| Patch { set, remove })
    }

    fn any_settings() -> impl Strategy<Value = Settings> {
        let value = prop_oneof![
            2 => any_reference().prop_map(|value| match value {
                NewValue::Reference(target) => SettingValue::from(&Reference::to(target)),
                NewValue::Text(text) => text,
            }),
            1 => Just(SettingValue::new(PLAIN)),
        ];
        prop::collection::btree_map(any_name(), value, 0..7)
            .prop_map(|all| all.into_iter().collect())
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
                // The first write may have taken the default grant away (a setting that moved to another secret), so
                // the patch is judged again with the explicit grants alone only if those suffice.
                if let Ok(second) = plan(&patch, &event(), &applied, &grant, SUFFIX) {
                    prop_assert!(second.is_empty(), "{:?}", second.describe(SUFFIX));
                }
                prop_assert_eq!(first.undo(&applied).apply_to(&applied), settings);
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
}

#[test]
fn two_plans_in_a_row_take_back_what_was_there_first() {
    let name = || SettingName::listed("A");
    let value = |text: &str| Some(SettingValue::new(text));
    let one = |before, after| Plan::recorded([(name(), Change { before, after })]);
    let both = one(value("1"), value("2")).followed_by(one(value("2"), value("3")));
    assert_eq!(both, one(value("1"), value("3")));
    // Somebody else wrote in between: theirs is what was there.
    let both = one(value("1"), value("2")).followed_by(one(value("9"), value("2")));
    assert_eq!(both, one(value("9"), value("2")));
    assert!(
        one(value("1"), value("2"))
            .followed_by(one(value("2"), value("1")))
            .is_empty()
    );
}

#[test]
fn a_difference_makes_one_of_the_other() {
    let from: Settings = [("A", "1"), ("B", "1")]
        .map(|(n, v)| (SettingName::listed(n), SettingValue::new(v)))
        .into_iter()
        .collect();
    let to: Settings = [("B", "2"), ("C", "1")]
        .map(|(n, v)| (SettingName::listed(n), SettingValue::new(v)))
        .into_iter()
        .collect();
    let plan = Plan::difference(&from, &to);
    assert_eq!(plan.apply_to(&from), to);
    assert_eq!(plan.undo(&to).apply_to(&to), from);
    assert!(Plan::difference(&to, &to).is_empty());
}

#[test]
fn a_plan_that_goes_on_from_another_answers_for_both() {
    let value = |text: &str| Some(SettingValue::new(text));
    let change = |name: &str, before, after| (SettingName::listed(name), Change { before, after });
    let mut earlier = Plan::recorded([
        change("A", value("1"), value("2")),
        change("B", value("1"), value("2")),
    ]);
    let mut later = Plan::recorded([change("A", value("2"), value("3"))]);
    later.take_over(&mut earlier);
    assert_eq!(later, Plan::recorded([change("A", value("1"), value("3"))]));
    assert_eq!(
        earlier,
        Plan::recorded([change("B", value("1"), value("2"))])
    );
    // Back to what was there: nothing is left to answer for.
    let mut back = Plan::recorded([change("B", value("2"), value("1"))]);
    back.take_over(&mut earlier);
    assert!(back.is_empty() && earlier.is_empty());
}
