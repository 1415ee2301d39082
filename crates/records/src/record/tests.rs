use keyrelay_model::Occurrence;
use serde_json::json;

use super::*;

const APP: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders";

fn event() -> Event {
    Event {
        id: "e-1".to_owned(),
        vault_host: "contoso-kv.vault.azure.net".parse().unwrap(),
        kind: keyrelay_model::ObjectKind::Secret,
        name: "sql".parse().unwrap(),
        occurrence: Occurrence::NewVersionCreated,
        version: Some("0c7751761b5a4ca09f3deec5fba4af83".parse().unwrap()),
        time: 1_772_360_430,
        nanoseconds: 5,
        is_time_of_arrival: false,
        not_before: None,
        expires: Some(1_803_896_430),
    }
}

fn run(outcomes: Vec<Outcome>, ended: Option<Outcome>) -> Run {
    let rotations = outcomes.into_iter();
    Run {
        rotations: rotations
            .map(|it| RotationRecord::ended(APP.parse().unwrap(), it, Duration::ZERO))
            .collect(),
        ended,
        ..Run::begin(Cause::Event, "i", None, Timestamp::now())
    }
}

#[test]
fn one_transient_rotation_requests_a_redelivery() {
    let fine = || Outcome::new(Verdict::Verified, "fine");
    assert!(!run(vec![fine(), Outcome::permanent("broken")], None).asks_for_redelivery());
    assert!(run(vec![fine(), Outcome::transient("busy")], None).asks_for_redelivery());
    assert!(run(vec![], Some(Outcome::transient("busy"))).asks_for_redelivery());
}

#[test]
fn every_outcome_is_a_line_of_the_response() {
    let lines = run(
        vec![Outcome::permanent("broken")],
        Some(Outcome::transient("busy")),
    )
    .lines();
    assert_eq!(
        lines,
        [
            "event failed: busy".to_owned(),
            format!("event {APP} failed: broken")
        ]
    );
}

#[test]
fn the_worst_verdict_is_the_runs() {
    let fine = || Outcome::new(Verdict::Verified, "fine");
    assert_eq!(
        run(vec![fine(), Outcome::new(Verdict::Unchanged, "")], None).verdict(),
        Verdict::Verified
    );
    assert!(
        run(vec![fine(), Outcome::permanent("broken")], None)
            .verdict()
            .is_error()
    );
}

#[test]
fn a_run_is_read_as_it_was_written() {
    let mut written = run(
        vec![
            Outcome::transient("busy"),
            Outcome::new(Verdict::RolledBack, "rolled back"),
        ],
        None,
    );
    written.event = Some(EventRecord::from(&event()));
    let text = serde_json::to_string(&written).unwrap();
    let read: Run = serde_json::from_str(&text).unwrap();
    assert_eq!(
        serde_json::to_value(&read).unwrap(),
        serde_json::to_value(&written).unwrap()
    );
    assert_eq!(
        read.rotations[0].outcome.verdict,
        written.rotations[0].outcome.verdict
    );
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["rotations"][1]["verdict"],
        json!("rolled back")
    );
}

#[test]
fn an_event_comes_back_from_its_record() {
    assert_eq!(
        Event::try_from(&EventRecord::from(&event())).unwrap(),
        event()
    );
    let reminder = Event {
        occurrence: Occurrence::ExpiryReminder,
        ..event()
    };
    assert_eq!(
        Event::try_from(&EventRecord::from(&reminder)).unwrap(),
        reminder
    );
    let newer = EventRecord {
        occurrence: "Renamed".to_owned(),
        ..EventRecord::from(&event())
    };
    assert!(
        Event::try_from(&newer)
            .unwrap_err()
            .to_string()
            .contains("`Renamed`")
    );
}
