//! Well-behaved guests: their arguments and decisions.

use std::collections::BTreeMap;
use std::time::Duration;

use keyrelay_model::{Decision, NewValue, Occurrence, Patch, SettingName, SettingValue, Target};
use keyrelay_sandbox::{DecideError, Digest, View, VisibleValue};

use crate::guest::{Guest, decide_about, limits, load, visible};

fn target(version: Option<&str>) -> Target {
    Target {
        vault_host: "v.vault.azure.net".parse().unwrap(),
        secret: "sql".parse().unwrap(),
        version: version.map(|version| version.parse().unwrap()),
    }
}

async fn check(decide: &str, decision: Decision) {
    let settings = [
        visible("A_REFERENCE", VisibleValue::Reference(target(Some("1")))),
        visible("B_TEXT", VisibleValue::Text(SettingValue::new("plain"))),
        visible("C_WITHHELD", VisibleValue::Withheld),
    ];
    let decided = decide_about(&Guest::deciding(decide), &settings)
        .await
        .unwrap();
    assert_eq!(decided.decision, decision);
}

/// Instructions that return a notice with the text whose pointer and length are at `offset` from
/// the event.
fn echo(offset: u32) -> String {
    format!(
        "(call $answer (i32.const 2) (i32.load offset={offset} (local.get $event))
           (i32.load offset={} (local.get $event)) (i32.const 0) (i32.const 0))",
        offset + 4
    )
}

/// Instructions that return a notice with the text at `offset` in the first setting.
fn echo_setting(offset: u32) -> String {
    echo(offset).replace(
        "(local.get $event)",
        "(i32.load offset=124 (local.get $event))",
    )
}

fn notice(text: &str) -> Decision {
    Decision::Notice(text.to_owned())
}

#[tokio::test]
async fn a_policy_sees_the_event() {
    check(&echo(0), notice("event-1")).await;
    check(&echo(8), notice("v")).await;
    check(&echo(16), notice("v.vault.azure.net")).await;
    check(&echo(28), notice("sql")).await;
    check(&echo(44), notice("2")).await;
}

#[tokio::test]
async fn a_policy_sees_the_app() {
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders/slots/blue";
    check(&echo(96), notice(id)).await;
    check(&echo(104), notice("orders")).await;
    check(&echo(116), notice("blue")).await;
}

#[tokio::test]
async fn a_policy_sees_settings_and_references() {
    check(&echo_setting(0), notice("A_REFERENCE")).await;
    check(&echo_setting(12), notice("v.vault.azure.net")).await;
    check(&echo_setting(20), notice("sql")).await;
    check(&echo_setting(32), notice("1")).await;
}

#[tokio::test]
async fn a_policy_sees_parameters() {
    let parameters = echo(0).replace(
        "(local.get $event)",
        "(i32.load offset=132 (local.get $event))",
    );
    check(&parameters, notice("first")).await;
}

#[tokio::test]
async fn a_policy_sees_that_a_text_is_withheld() {
    // The third setting lies 80 bytes behind the first, its case 8 bytes into it: 2 is `withheld`.
    let third = "(i32.load8_u offset=88 (i32.load offset=124 (local.get $event)))";
    let skip = format!(
        "(call $answer (i32.const 3) (i32.const 1024) {third} (i32.const 0) (i32.const 0))"
    );
    check(&skip, Decision::Skip("a".to_owned())).await;
}

#[tokio::test]
async fn a_policy_can_refresh() {
    check(crate::guest::REFRESH, Decision::Refresh).await;
}

#[tokio::test]
async fn a_policy_can_patch() {
    // Sets the first setting to the reference it has already, without the version; removes `text`.
    let patch = "(memory.copy (i32.const 2048) (i32.load offset=124 (local.get $event)) (i32.const 40))
                 (i32.store8 (i32.const 2076) (i32.const 0))
                 (i32.store (i32.const 2100) (i32.const 1026)) (i32.store (i32.const 2104) (i32.const 4))
                 (call $answer (i32.const 0) (i32.const 2048) (i32.const 1) (i32.const 2100) (i32.const 1))";
    let patched = Patch {
        set: vec![(
            "A_REFERENCE".parse().unwrap(),
            NewValue::Reference(target(None)),
        )],
        remove: vec!["text".parse().unwrap()],
    };
    check(patch, Decision::Patch(patched)).await;
}

#[tokio::test]
async fn a_policy_can_set_a_text() {
    // The second setting is a text: an entry of a patch looks the same, but for the case.
    let patch = "(memory.copy (i32.const 2048) (i32.add (i32.load offset=124 (local.get $event)) (i32.const 40))
                   (i32.const 40))
                 (call $answer (i32.const 0) (i32.const 2048) (i32.const 1) (i32.const 0) (i32.const 0))";
    let set = vec![(
        "B_TEXT".parse().unwrap(),
        NewValue::Text(SettingValue::new("plain")),
    )];
    check(
        patch,
        Decision::Patch(Patch {
            set,
            remove: Vec::new(),
        }),
    )
    .await;
}

#[tokio::test]
async fn a_name_that_the_app_has_is_valid_in_any_spelling() {
    let odd = keyrelay_sandbox::VisibleSetting {
        name: SettingName::listed("a b"),
        value: VisibleValue::Withheld,
    };
    let remove = "(call $answer (i32.const 0) (i32.const 0) (i32.const 0) (i32.load offset=124 (local.get $event))
                    (i32.const 1))";
    let decided = decide_about(&Guest::deciding(remove), &[odd])
        .await
        .unwrap();
    let removed = Patch {
        set: Vec::new(),
        remove: vec![SettingName::listed("a b")],
    };
    assert_eq!(decided.decision, Decision::Patch(removed));
}

#[tokio::test]
async fn a_decision_reports_its_resources() {
    let grow =
        "(drop (memory.grow (i32.const 3))) (call $answer (i32.const 1) (i32.const 0) (i32.const 0)
                  (i32.const 0) (i32.const 0))";
    let decided = decide_about(&Guest::deciding(grow), &[]).await.unwrap();
    assert_eq!(decided.memory, 5 << 16);
    assert!(decided.elapsed > Duration::ZERO);
    assert_eq!(decided.log, [""; 0]);
}

#[tokio::test]
async fn a_policy_describes_itself() {
    let bytes = Guest::refreshing().component();
    let policy = load(bytes.clone()).await.unwrap();
    let about = policy.about();
    assert_eq!(
        (policy.name(), policy.digest()),
        ("guest", Digest::of(&bytes))
    );
    assert_eq!(
        (
            about.name.as_str(),
            about.version.as_str(),
            about.summary.as_str()
        ),
        ("a text", "a", "a text")
    );
    assert_eq!(
        (about.occurrences.as_slice(), about.view),
        (&[Occurrence::NewVersionCreated][..], View::References)
    );
    assert!(about.wants(Occurrence::NewVersionCreated) && !about.wants(Occurrence::Expired));
}

#[tokio::test]
async fn a_policy_checks_parameters() {
    // Fails with the name of the first parameter, if there is one.
    let check = "(if (result i32) (local.get $length)
                   (then (call $fail_parameters (i32.load (local.get $parameters)) (i32.load offset=4 (local.get $parameters))))
                   (else (i32.const 200)))";
    let functions = "(func $fail_parameters (param i32 i32) (result i32) (call $fail (local.get 0) (local.get 1)))";
    let guest = Guest {
        check_parameters: check.to_owned(),
        functions: functions.to_owned(),
        ..Guest::refreshing()
    };
    let policy = load(guest.component()).await.unwrap();
    assert_eq!(
        policy.check_parameters(&BTreeMap::new(), &limits()).await,
        Ok(())
    );
    let parameters = BTreeMap::from([("partner".to_owned(), "x".to_owned())]);
    let refused = policy.check_parameters(&parameters, &limits()).await;
    assert_eq!(refused, Err(DecideError::Policy("partner".to_owned())));
}
