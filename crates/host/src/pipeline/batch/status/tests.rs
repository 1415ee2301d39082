use std::slice;
use std::time::Duration;

use keyrelay_azure::{ReferenceKind, Status};
use keyrelay_model::{Event, ObjectKind, Occurrence, PastRefresh, Target, VersionAttributes};

use super::*;

const OLD: &str = "0c7751761b5a4ca09f3deec5fba4af83";
const NEW: &str = "ee059b2bb5bc48398a53b168c6cdcb10";
/// Created in the same second as the one before.
const SAME_SECOND: &str = "beef";
const NEWEST: &str = "f00d";

fn event() -> Event {
    Event {
        id: "e-1".to_owned(),
        vault_host: "kv.vault.azure.net".parse().unwrap(),
        kind: ObjectKind::Secret,
        name: "sql".parse().unwrap(),
        occurrence: Occurrence::NewVersionCreated,
        version: Some(NEW.parse().unwrap()),
        time: 0,
        nanoseconds: 0,
        is_time_of_arrival: false,
        not_before: None,
        expires: None,
    }
}

fn reference(secret: &str, version: Option<&str>) -> Reference {
    let vault_host = "kv.vault.azure.net".parse().unwrap();
    let version = version.map(|version| version.parse().unwrap());
    Reference::to(Target {
        vault_host,
        secret: secret.parse().unwrap(),
        version,
    })
}

fn row(reference: &Reference, status: &str, active: Option<&str>) -> ReferenceStatus {
    ReferenceStatus {
        kind: ReferenceKind::AppSetting,
        setting: "SQL".parse().unwrap(),
        reference: reference.to_string(),
        status: Status::from(status),
        vault_name: None,
        secret_name: None,
        secret_version: None,
        active_version: active.map(|version| version.parse().unwrap()),
        details: None,
        identity_type: None,
    }
}

/// The refreshes of the past by their ages in seconds.
fn refreshed(ages: &[u64]) -> RefreshProgress {
    let refreshes = ages.iter().map(|age| PastRefresh {
        age: Duration::from_secs(*age),
        is_accepted: true,
    });
    RefreshProgress {
        known_for: Duration::from_secs(ages.first().copied().unwrap_or_default()),
        refreshes: refreshes.collect(),
    }
}

/// The same, none of which Azure has confirmed.
fn unconfirmed(ages: &[u64]) -> RefreshProgress {
    let mut progress = refreshed(ages);
    for refresh in &mut progress.refreshes {
        refresh.is_accepted = false;
    }
    progress
}

fn step(
    awaited: &[(&str, &Reference)],
    rows: &[ReferenceStatus],
    before: Option<&[ReferenceStatus]>,
    progress: &RefreshProgress,
) -> Step {
    let awaited: Vec<AwaitedReference> = awaited
        .iter()
        .map(|(setting, reference)| {
            let setting = (setting.parse().unwrap(), ReferenceKind::AppSetting);
            AwaitedReference::new(setting, reference.target().clone(), &event())
        })
        .collect();
    step_of(&awaited, rows, before, progress)
}

fn step_of(
    awaited: &[AwaitedReference],
    rows: &[ReferenceStatus],
    before: Option<&[ReferenceStatus]>,
    progress: &RefreshProgress,
) -> Step {
    let attributes = |created| VersionAttributes {
        enabled: true,
        created,
        not_before: None,
        expires: None,
    };
    let versions = [(OLD, 1), (NEW, 2), (SAME_SECOND, 2), (NEWEST, 3)]
        .map(|(version, created)| (version.parse().unwrap(), attributes(created)));
    let checked = Checked {
        awaited,
        progress,
        is_refresh: false,
        is_written: true,
    };
    let facts = Facts {
        before,
        versions: &versions.into_iter().collect(),
        vault_suffix: "vault.azure.net",
        now: 1_000,
        rule: RefreshRule::Twice,
        timing: &RefreshTiming::new(Duration::from_secs(15)),
    };
    next_step(checked, rows, facts)
}

/// The step of a single reference that was not refreshed.
fn check(awaited: &Reference, row: Option<ReferenceStatus>) -> Step {
    let rows: Vec<ReferenceStatus> = row.into_iter().collect();
    step(&[("SQL", awaited)], &rows, None, &refreshed(&[]))
}

#[track_caller]
fn assert_refresh(step: Step, why: &str) {
    assert!(
        matches!(&step, Step::Refresh(reason) if reason.contains(why)),
        "{step:?}"
    );
}

#[track_caller]
fn assert_waiting(step: Step, why: &str) {
    assert!(
        matches!(&step, Step::Wait { reason, .. } if reason.contains(why)),
        "{step:?}"
    );
}

fn proven(evidence: Evidence) -> Step {
    Step::Proven(Proof {
        evidence: Some(evidence),
        notes: Vec::new(),
    })
}

/// A version of the same second as the event's is no evidence. The refreshes end the rotation.
#[test]
fn a_version_of_the_same_second_is_no_evidence() {
    let reference = reference("sql", None);
    let row = || row(&reference, "Resolved", Some(SAME_SECOND));
    assert_refresh(check(&reference, Some(row())), "within one second");
    let after = |ages: &[u64]| step(&[("SQL", &reference)], &[row()], None, &refreshed(ages));
    assert_refresh(after(&[60]), "within one second");
    let Step::Proven(proof) = after(&[120, 60]) else {
        panic!("{:?}", after(&[120, 60]));
    };
    assert_eq!(proof.evidence, Some(Evidence::RefreshedTwice));
    assert!(proof.notes[0].contains("within one second"), "{proof:?}");
    // A later row may name the other version, also when no refresh is left.
    let unconfirmed = unconfirmed(&[120, 90, 60]);
    let left = step(&[("SQL", &reference)], &[row()], None, &unconfirmed);
    assert!(
        matches!(
            &left,
            Step::Unproven {
                is_visible: true,
                ..
            }
        ),
        "{left:?}"
    );
}

#[test]
fn three_refreshes_that_azure_has_not_confirmed_prove_nothing_and_break_nothing() {
    let reference = reference("sql", None);
    let row = row(&reference, "Resolved", None);
    let of = |ages: &[u64]| {
        let progress = unconfirmed(ages);
        step(
            &[("SQL", &reference)],
            slice::from_ref(&row),
            None,
            &progress,
        )
    };
    assert_refresh(of(&[60, 40]), "does not say");
    assert_waiting(of(&[60, 40, 17]), "does not say");
    let step = of(&[60, 40, 18]);
    assert!(
        matches!(&step, Step::Unproven { reason, is_visible: false } if reason.contains("resubmit the run")),
        "{step:?}"
    );
}

#[test]
fn the_newest_version_ends_a_rotation_whose_version_the_vault_does_not_list_any_more() {
    let free = reference("sql", None);
    let target = free.target().clone();
    let purged = Event {
        version: Some("dead".parse().unwrap()),
        ..event()
    };
    let setting = ("SQL".parse().unwrap(), ReferenceKind::AppSetting);
    let awaited = [AwaitedReference::new(setting, target, &purged)];
    let of = |active: &str, ages: &[u64]| {
        step_of(
            &awaited,
            &[row(&free, "Resolved", Some(active))],
            None,
            &refreshed(ages),
        )
    };
    assert_refresh(of(NEWEST, &[]), "does not list the event's version");
    assert_refresh(of(OLD, &[60]), "still has version");
    let Step::Proven(proof) = of(NEWEST, &[120, 60]) else {
        panic!("{:?}", of(NEWEST, &[120, 60]));
    };
    assert_eq!(proof.evidence, Some(Evidence::RefreshedTwice));
    assert!(proof.notes[0].contains("is the newest one"), "{proof:?}");
}

#[test]
fn the_events_version_or_a_newer_one_is_evidence() {
    let latest = reference("sql", None);
    for active in [NEW, NEWEST] {
        let row = row(&latest, "Resolved", Some(active));
        assert_eq!(check(&latest, Some(row)), proven(Evidence::ActiveVersion));
    }
    let row = row(&latest, "Resolved", Some(OLD));
    assert_refresh(check(&latest, Some(row)), "still has version");
}

#[test]
fn a_pinned_reference_is_evidence_once_it_is_resolved() {
    let pinned = reference("sql", Some(NEW));
    let row = |status| row(&pinned, status, None);
    assert_eq!(
        check(&pinned, Some(row("Resolved"))),
        proven(Evidence::Pinned)
    );
    assert_waiting(check(&pinned, Some(row("Initialized"))), "Initialized");
    assert_waiting(check(&pinned, Some(row("SomethingNew"))), "SomethingNew");
}

#[test]
fn without_an_active_version_two_refreshes_are_the_evidence() {
    let latest = reference("sql", None);
    let rows = [row(&latest, "Resolved", None)];
    let with = |ages: &[u64]| step(&[("SQL", &latest)], &rows, None, &refreshed(ages));
    assert_refresh(with(&[]), "does not say with which version");
    let waiting = with(&[5]);
    let Step::Wait {
        pause, is_visible, ..
    } = waiting
    else {
        panic!("{waiting:?}");
    };
    assert_eq!((pause, is_visible), (Some(Duration::from_secs(15)), false));
    assert_eq!(with(&[40, 19]), proven(Evidence::RefreshedTwice));
}

#[test]
fn the_weakest_evidence_counts() {
    let (latest, pinned) = (reference("sql", None), reference("sql", Some(NEW)));
    let other = ReferenceStatus {
        setting: "PINNED".parse().unwrap(),
        ..row(&pinned, "Resolved", None)
    };
    let rows = [row(&latest, "Resolved", None), other];
    let awaited = [("SQL", &latest), ("PINNED", &pinned)];
    let checked = step(&awaited, &rows, None, &refreshed(&[40, 19]));
    assert_eq!(checked, proven(Evidence::RefreshedTwice));
    let named = [row(&latest, "Resolved", Some(NEW)), rows[1].clone()];
    let checked = step(&awaited, &named, None, &refreshed(&[]));
    assert_eq!(checked, proven(Evidence::Pinned));
}

#[test]
fn a_row_of_the_former_reference_is_no_evidence() {
    let (old, new) = (reference("sql", Some(OLD)), reference("sql", Some(NEW)));
    assert_waiting(
        check(&new, Some(row(&old, "Resolved", Some(OLD)))),
        "the former reference",
    );
    assert_waiting(check(&new, None), "does not list");
    assert_waiting(
        check(&new, Some(row(&new, "Resolved", Some(OLD)))),
        "still has version",
    );
}

#[test]
fn another_secret_without_a_version_needs_refreshes_too() {
    let other = reference("other", None);
    let rows = [row(&other, "Resolved", None)];
    assert_refresh(check(&other, Some(rows[0].clone())), "does not say");
    let checked = step(&[("SQL", &other)], &rows, None, &refreshed(&[40, 19]));
    assert_eq!(checked, proven(Evidence::RefreshedTwice));
}

#[test]
fn a_broken_patch_is_believed_once_the_row_has_changed_or_half_a_minute_has_passed() {
    let pinned = reference("sql", Some(NEW));
    let with = |before: &str, status: &str, age| {
        let rows = [row(&pinned, status, None)];
        let before = [row(&pinned, before, None)];
        step(
            &[("SQL", &pinned)],
            &rows,
            Some(&before),
            &refreshed(&[age]),
        )
    };
    let denied = "AccessToKeyVaultDenied";
    assert!(
        matches!(with("Resolved", denied, 0), Step::Failed(reason) if reason.contains("Key Vault Secrets User"))
    );
    assert_waiting(with(denied, denied, 29), denied);
    assert!(matches!(with(denied, denied, 30), Step::Failed(_)));
    // The vault has announced the version: it may tell the app a little later.
    let missing = "SecretVersionNotFound";
    assert_waiting(with("Resolved", missing, 3), missing);
    assert!(matches!(with("Resolved", missing, 30), Step::Failed(_)));
}
