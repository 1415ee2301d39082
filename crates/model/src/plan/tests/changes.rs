//! Applying, combining and rolling back plans.

use super::*;

fn value(text: &str) -> Option<SettingValue> {
    Some(SettingValue::new(text))
}

fn changes(list: &[(&str, &str, &str)]) -> Plan {
    Plan::recorded(list.iter().map(|(name, before, after)| {
        let (before, after) = (value(before), value(after));
        (SettingName::listed(*name), Change { before, after })
    }))
}

fn listed(list: &[(&str, &str)]) -> Settings {
    list.iter()
        .map(|(name, value)| (SettingName::listed(*name), SettingValue::new(*value)))
        .collect()
}

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
    let one = |before, after| changes(&[("A", before, after)]);
    assert_eq!(one("1", "2").followed_by(one("2", "3")), one("1", "3"));
    // Another writer wrote in between: its value is the one to restore.
    assert_eq!(one("1", "2").followed_by(one("9", "2")), one("9", "2"));
    assert!(one("1", "2").followed_by(one("2", "1")).is_empty());
}

#[test]
fn a_difference_changes_one_into_the_other() {
    let from = listed(&[("A", "1"), ("B", "1")]);
    let to = listed(&[("B", "2"), ("C", "1")]);
    let plan = Plan::difference(&from, &to);
    assert_eq!(plan.apply_to(&from), to);
    assert_eq!(plan.roll_back(&to).apply_to(&to), from);
    assert!(Plan::difference(&to, &to).is_empty());
}

#[test]
fn a_plan_takes_over_changes_of_the_plan_that_it_continues() {
    let mut earlier = changes(&[("A", "1", "2"), ("B", "1", "2")]);
    let mut later = changes(&[("A", "2", "3")]);
    later.take_over(&mut earlier);
    assert_eq!(later, changes(&[("A", "1", "3")]));
    assert_eq!(earlier, changes(&[("B", "1", "2")]));
    // The value from before both plans is back: nothing is left to roll back.
    let mut back = changes(&[("B", "2", "1")]);
    back.take_over(&mut earlier);
    assert!(back.is_empty() && earlier.is_empty());
}

#[test]
fn a_recorded_plan_has_the_changes_that_change_something() {
    let plan = changes(&[("A", "1", "2"), ("B", "1", "1")]);
    let (name, change) = plan.changes().next().unwrap();
    assert_eq!((name.as_str(), &change.after), ("A", &value("2")));
    assert_eq!(plan.to_string(), "A");
}

#[test]
fn a_plan_that_was_not_written_leaves_settings_that_another_writer_has_changed() {
    let plan = changes(&[("A", "1", "2"), ("B", "1", "2")]);
    let now = listed(&[("A", "1"), ("B", "theirs")]);
    assert_eq!(plan.not_overwritten_in(&now), changes(&[("A", "1", "2")]));
    assert!(plan.not_overwritten_in(&listed(&[])).is_empty());
}

#[test]
fn of_two_plans_for_one_setting_the_other_ones_change_counts() {
    let one = changes(&[("A", "1", "2"), ("B", "1", "2")]);
    let other = changes(&[("B", "1", "3"), ("C", "1", "2")]);
    assert_eq!(
        one.replaced_by(other),
        changes(&[("A", "1", "2"), ("B", "1", "3"), ("C", "1", "2")])
    );
}
