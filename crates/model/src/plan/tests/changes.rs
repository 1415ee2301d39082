//! Applying, combining and rolling back plans.

use super::*;

#[test]
fn a_rollback_leaves_what_another_writer_has_changed() {
    let patch = set(&[
        ("SQL", to("kv", "sql", Some(V2))),
        ("SQL_NEWEST", to("kv", "sql", Some(V2))),
    ]);
    let plan = plan(&patch, &event(), &settings(), &Grant::default(), SUFFIX).unwrap();
    let applied = plan.apply_to(&settings());
    assert!(plan.is_in(&applied) && !plan.is_in(&settings()));
    assert_eq!(plan.roll_back(&applied).apply_to(&applied), settings());

    let mut touched = applied.clone();
    touched.set(name("SQL"), SettingValue::new("theirs"));
    let rolled_back = plan.roll_back(&touched).apply_to(&touched);
    assert_eq!(
        rolled_back.get(&name("SQL")),
        Some(&SettingValue::new("theirs"))
    );
    assert_eq!(
        rolled_back.get(&name("SQL_NEWEST")),
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

#[test]
fn two_plans_in_a_row_roll_back_to_the_first_values() {
    let name = || SettingName::listed("A");
    let value = |text: &str| Some(SettingValue::new(text));
    let one = |before, after| Plan::recorded([(name(), Change { before, after })]);
    let both = one(value("1"), value("2")).followed_by(one(value("2"), value("3")));
    assert_eq!(both, one(value("1"), value("3")));
    // Another writer wrote in between: its value is the one to restore.
    let both = one(value("1"), value("2")).followed_by(one(value("9"), value("2")));
    assert_eq!(both, one(value("9"), value("2")));
    assert!(
        one(value("1"), value("2"))
            .followed_by(one(value("2"), value("1")))
            .is_empty()
    );
}

#[test]
fn a_difference_changes_one_into_the_other() {
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
    assert_eq!(plan.roll_back(&to).apply_to(&to), from);
    assert!(Plan::difference(&to, &to).is_empty());
}

#[test]
fn a_plan_takes_over_changes_of_the_plan_that_it_continues() {
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
    // The value from before both plans is back: nothing is left to roll back.
    let mut back = Plan::recorded([change("B", value("2"), value("1"))]);
    back.take_over(&mut earlier);
    assert!(back.is_empty() && earlier.is_empty());
}
