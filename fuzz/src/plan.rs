//! Plans with arbitrary names, values, texts and grants, against the rules as they are documented.

mod input;
mod oracle;

use std::collections::BTreeSet;

use arbitrary::{Arbitrary as _, Unstructured};
use keyrelay_model::{Plan, Reference, SettingName, SettingValue, Settings, plan};

use input::{Case, Input, MARKER};
use oracle::{After, Oracle, Ruling};

/// The suffix of the vaults of our cloud.
const SUFFIX: &str = "vault.azure.net";

/// Plans a patch. One forbidden change refuses all of it; a patch that the rules allow is planned
/// and changes what it says; and nothing else of the app changes.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else {
        return;
    };
    let case = input.case();
    let planned = plan(
        &case.patch,
        &case.event,
        &case.settings,
        &case.grant,
        SUFFIX,
    );
    let oracle = Oracle::new(&case);
    match (planned, oracle.ruling()) {
        (Ok(_), Ruling::Forbidden(why)) => panic!("a forbidden patch is planned: {why}\n{case:#?}"),
        (Err(refusal), Ruling::Allowed(_)) => {
            panic!("an allowed patch is refused: {refusal:?}\n{case:#?}")
        }
        (Err(refusal), _) => {
            assert!(!refusal.objections.is_empty());
            check_silent(&case, &format!("{refusal:?}{refusal}"));
        }
        (Ok(plan), ruling) => {
            check_plan(&case, &oracle, &plan);
            if let Ruling::Allowed(changes) = ruling {
                let after = plan.apply_to(&case.settings);
                for (name, expected) in changes {
                    assert!(is_as(expected, after.get(name)), "{name}\n{case:#?}");
                }
            }
        }
    }
}

/// Whether a setting is as the patch wants it.
fn is_as(expected: After<'_>, value: Option<&SettingValue>) -> bool {
    match (expected, value) {
        (After::Removed, value) => value.is_none(),
        (After::Text(text), Some(value)) => value == text,
        (After::Reference(target), Some(value)) => value
            .reference(SUFFIX)
            .is_ok_and(|reference| *reference.target() == target),
        (_, None) => false,
    }
}

/// Checks what holds for every plan.
fn check_plan(case: &Case, oracle: &Oracle<'_>, plan: &Plan) {
    let after = plan.apply_to(&case.settings);
    let all: BTreeSet<&SettingName> = case.settings.names().chain(after.names()).collect();
    for name in all {
        if case.settings.get(name) != after.get(name) {
            assert!(
                case.patch.names(name),
                "{name} is not in the patch\n{case:#?}"
            );
            let complaint = oracle.complaint(name, after.get(name));
            assert_eq!(complaint, None, "{name}\n{case:#?}");
        }
    }
    for (name, change) in plan.changes() {
        assert_eq!(
            change.before.as_ref(),
            case.settings.get(name),
            "{name}: not what the app has"
        );
        assert_ne!(change.before, change.after, "{name} does not change");
    }
    assert!(
        twins(&after) <= twins(&case.settings),
        "a twin is added\n{case:#?}"
    );
    let before = plan.roll_back(&after).apply_to(&after);
    assert!(
        before == case.settings,
        "the rollback leads elsewhere\n{case:#?}"
    );
    check_silent(case, &format!("{plan:?}{:?}", plan.describe(SUFFIX)));
}

/// The number of pairs of settings that a platform surely reads as one.
fn twins(settings: &Settings) -> usize {
    let names: Vec<&SettingName> = settings.names().collect();
    let pairs = names.iter().enumerate().flat_map(|(index, one)| {
        let later = names.get(index + 1..).unwrap_or_default();
        later.iter().map(move |other| (*one, *other))
    });
    pairs
        .filter(|(one, other)| oracle::are_twins(one, other) == Some(true))
        .count()
}

/// Checks that a text shows none of the plain text.
fn check_silent(case: &Case, text: &str) {
    let in_names = case.names().any(|name| name.contains(MARKER));
    assert!(in_names || !text.contains(MARKER), "plain text is shown");
}

/// The reference that a value is to Azure.
fn reference(value: &SettingValue) -> Option<Reference> {
    value.reference(SUFFIX).ok()
}

#[cfg(test)]
mod tests {
    use keyrelay_model::{Event, Grant, NewValue, ObjectKind, Occurrence, Patch, Target};

    use super::*;

    fn target(secret: &str) -> Target {
        Target {
            vault_host: "contoso-kv.vault.azure.net".parse().unwrap(),
            secret: secret.parse().unwrap(),
            version: None,
        }
    }

    /// The ruling on setting one name, in an app whose `SQL` references the secret of the event.
    fn ruling(name: &str, value: NewValue, set: &[&str], text: bool) -> &'static str {
        let sql = SettingName::listed("SQL");
        let case = Case {
            event: Event {
                id: "e-1".to_owned(),
                vault_host: target("sql-a").vault_host,
                kind: ObjectKind::Secret,
                name: target("sql-a").secret,
                occurrence: Occurrence::NewVersionCreated,
                version: None,
                time: 0,
                nanoseconds: 0,
                is_time_of_arrival: false,
                not_before: None,
                expires: None,
            },
            settings: [(sql, SettingValue::from(&Reference::to(target("sql-a"))))]
                .into_iter()
                .collect(),
            patch: Patch {
                set: vec![(SettingName::listed(name), value)],
                remove: Vec::new(),
            },
            grant: Grant {
                set: set.iter().map(|it| it.parse().unwrap()).collect(),
                text,
                ..Grant::default()
            },
            secrets: Vec::new(),
        };
        match Oracle::new(&case).ruling() {
            Ruling::Allowed(_) => "allowed",
            Ruling::Forbidden(_) => "forbidden",
            Ruling::Open => "open",
        }
    }

    /// An oracle that leaves everything open would agree with any plan.
    #[test]
    fn the_oracle_rules_on_what_is_documented() {
        let to = |secret| NewValue::Reference(target(secret));
        let text = |text| NewValue::Text(SettingValue::new(text));
        for (name, value, set, may_text, expected) in [
            ("SQL", to("sql-a"), [].as_slice(), false, "allowed"),
            ("SQL", to("sql-b"), &["SQL"], false, "forbidden"),
            ("NEW", to("sql-a"), &[], false, "forbidden"),
            ("NEW", to("sql-a"), &["N*"], false, "allowed"),
            ("LD.PRELOAD", to("sql-a"), &["*"], false, "forbidden"),
            ("LD_PRELOAD", to("sql-a"), &["LD_PRELOAD"], false, "allowed"),
            ("sql", to("sql-a"), &["*"], false, "forbidden"),
            ("NEW", text("x"), &["NEW"], false, "forbidden"),
            ("NEW", text("x"), &["NEW"], true, "allowed"),
            ("NEW", text("@Microsoft.X"), &["NEW"], true, "forbidden"),
        ] {
            let label = format!("{name} {value:?} {set:?}");
            assert_eq!(ruling(name, value, set, may_text), expected, "{label}");
        }
    }
}
