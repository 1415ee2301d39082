//! The output of guests.

use keyrelay_model::SettingValue;
use keyrelay_sandbox::{DecideError, VisibleValue};

use crate::guest::{Guest, REFRESH, decide_about, visible};

/// A guest that can `(call $print (stream) (text) (length))`; the stream is `(call $stdout)` or
/// `(call $stderr)`.
fn printing(decide: &str) -> Guest {
    Guest {
        imports: r#"
            (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
            (import "wasi:cli/stderr@0.2.0" "get-stderr" (func $stderr (result i32)))
            (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
              (func $write (param i32 i32 i32 i32)))"#
            .to_owned(),
        functions: "(func $print (param i32 i32 i32)
                      (call $write (local.get 0) (local.get 1) (local.get 2) (i32.const 2048)))"
            .to_owned(),
        ..Guest::deciding(decide)
    }
}

#[tokio::test]
async fn prints_reach_the_log_with_their_label() {
    let guest = printing(&format!(
        "(call $print (call $stdout) (i32.const 1024) (i32.const 6))
         (call $print (call $stderr) (i32.const 1024) (i32.const 1)) {REFRESH}"
    ));
    let decided = decide_about(&guest, &[]).await.unwrap();
    assert_eq!(decided.log, ["stdout: a text", "stderr: a"]);
}

#[tokio::test]
async fn a_panic_is_explained_by_the_output() {
    let guest =
        printing("(call $print (call $stderr) (i32.const 1024) (i32.const 6)) (unreachable)");
    let undecided = decide_about(&guest, &[]).await.unwrap_err();
    assert_eq!(undecided.error, DecideError::Trap("a text".to_owned()));
    assert_eq!(undecided.log, ["stderr: a text"]);
}

#[tokio::test]
async fn a_flood_of_the_log_ends_the_policy() {
    let guest = printing(
        "(local $stream i32) (local.set $stream (call $stdout))
         (loop $again (call $print (local.get $stream) (i32.const 1024) (i32.const 6)) (br $again)) (unreachable)",
    );
    let undecided = decide_about(&guest, &[]).await.unwrap_err();
    assert_eq!(undecided.error, DecideError::Log { limit: 16 << 10 });
    let kept: usize = undecided.log.iter().map(String::len).sum();
    assert_eq!(kept, (16 << 10) + "stdout: ".len());
}

#[tokio::test]
async fn a_flood_in_one_write_ends_the_policy() {
    let guest =
        printing("(call $print (call $stdout) (i32.const 0) (i32.const 65536)) (unreachable)");
    let error = decide_about(&guest, &[]).await.unwrap_err().error;
    assert!(
        matches!(error, DecideError::Trap(_) | DecideError::Log { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_revealed_text_is_not_logged() {
    // The text of the first setting: 12 bytes into it.
    let text = "(i32.load offset=12 (i32.load offset=124 (local.get $event)))
                (i32.load offset=16 (i32.load offset=124 (local.get $event)))";
    let settings = [visible(
        "A",
        VisibleValue::Text(SettingValue::new("planted-value")),
    )];
    let guest = printing(&format!(
        "(call $print (call $stdout) {text}) (call $fail {text})"
    ));
    let undecided = decide_about(&guest, &settings).await.unwrap_err();
    assert_eq!(undecided.log, ["stdout: [hidden]"]);
    assert_eq!(undecided.error, DecideError::Policy("[hidden]".to_owned()));
    let guest = printing(&format!(
        "(call $print (call $stderr) {text}) (unreachable)"
    ));
    let undecided = decide_about(&guest, &settings).await.unwrap_err();
    assert!(!format!("{undecided:?} {undecided}").contains("planted-value"));
}

/// Lets a guest remove a setting whose name is the text of the first one.
async fn removes_the_text(value: &str, more: &[keyrelay_sandbox::VisibleSetting]) -> String {
    let name = "(i32.store (i32.const 2048) (i32.load offset=12 (i32.load offset=124 (local.get $event))))
                (i32.store (i32.const 2052) (i32.load offset=16 (i32.load offset=124 (local.get $event))))";
    let remove =
        "(call $answer (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 2048) (i32.const 1))";
    let mut settings = vec![visible("A", VisibleValue::Text(SettingValue::new(value)))];
    settings.extend_from_slice(more);
    let guest = Guest::deciding(&format!("{name} {remove}"));
    match decide_about(&guest, &settings).await {
        Ok(decided) => format!("{:?}", decided.decision),
        Err(undecided) => format!("{undecided:?} {undecided}"),
    }
}

#[tokio::test]
async fn a_name_that_holds_a_revealed_text_is_refused() {
    for value in [
        "planted-value",
        &"planted-value".repeat(140),
        "planted\tvalue",
    ] {
        let refused = removes_the_text(value, &[]).await;
        assert!(refused.contains("holds the plain text of `A`"), "{refused}");
        assert!(!refused.contains("planted"), "{refused}");
    }
    let known = visible("planted-value", VisibleValue::Withheld);
    let removed = removes_the_text("planted-value", &[known]).await;
    assert!(removed.starts_with("Patch"), "{removed}");
}

#[tokio::test]
async fn a_text_too_short_to_be_redacted_is_not_shown() {
    let settings = [visible("A", VisibleValue::Text(SettingValue::new("abc")))];
    // Fails if the value is a text: 1 is its case.
    let is_text =
        "(i32.eq (i32.load8_u offset=8 (i32.load offset=124 (local.get $event))) (i32.const 1))";
    let guest = Guest::deciding(&format!("(if {is_text} (then (unreachable))) {REFRESH}"));
    let decided = decide_about(&guest, &settings).await.unwrap();
    let [note] = decided.log.as_slice() else {
        panic!("{:?}", decided.log)
    };
    assert!(
        note.starts_with("keyrelay: `A` is withheld although `reveal` lists it"),
        "{note}"
    );
}
