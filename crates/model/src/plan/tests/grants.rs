//! Checks of patches against grants.

use super::*;

#[track_caller]
pub(super) fn check_allowed(patch: &Patch, grant: &Grant, expected: &[&str]) {
    let plan = plan(patch, &event(), &settings(), grant, SUFFIX)
        .unwrap_or_else(|refusal| panic!("{refusal}"));
    let lines: Vec<String> = plan
        .describe(SUFFIX)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(lines, expected);
}

#[track_caller]
pub(super) fn check_refused(patch: &Patch, grant: &Grant, expected: &[&str]) {
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
            "the policy may not reference secret `other` of `kv.vault.azure.net` in `SQL`: missing grant `secrets = [\"kv/other\"]`",
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
fn a_refusal_tells_all_its_objections() {
    let patch = Patch {
        remove: vec![name("USER")],
        ..set(&[("OTHER", to("kv", "sql", None))])
    };
    let refusal = plan(&patch, &event(), &settings(), &Grant::default(), SUFFIX).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the policy may not set `OTHER`: missing grant `set = [\"OTHER\"]`; \
         the policy may not remove `USER`: missing grant `remove = [\"USER\"]`"
    );
}

#[test]
fn a_name_listed_twice_is_refused() {
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
