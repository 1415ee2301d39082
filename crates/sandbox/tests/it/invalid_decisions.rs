//! Guests that trap, or return malformed decisions.

use keyrelay_sandbox::DecideError;

use crate::guest::{Guest, failure};

async fn check_invalid(decide: &str, part: &str) {
    let error = failure(&Guest::deciding(decide)).await;
    assert!(
        matches!(&error, DecideError::Invalid(reason) if reason.contains(part)),
        "{error:?}"
    );
}

async fn check_trap(decide: &str, part: &str) {
    let error = failure(&Guest::deciding(decide)).await;
    assert!(
        matches!(&error, DecideError::Trap(reason) if reason.contains(part)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_panic_without_a_message_is_a_crash() {
    check_trap("(unreachable)", "panic").await;
}

#[tokio::test]
async fn a_division_by_zero_is_a_crash() {
    check_trap("(i32.div_u (i32.const 1) (i32.const 0))", "divide by zero").await;
}

#[tokio::test]
async fn an_access_beyond_memory_is_a_crash() {
    check_trap("(i32.load (i32.const 0x7fffffff))", "out of bounds").await;
}

#[tokio::test]
async fn a_decision_beyond_memory_is_refused() {
    check_invalid("(i32.const 0x7ffffff0)", "out of bounds").await;
}

#[tokio::test]
async fn a_decision_at_an_odd_address_is_refused() {
    check_invalid("(i32.const 65)", "aligned").await;
}

#[tokio::test]
async fn a_text_beyond_memory_is_refused() {
    let text = "(call $answer (i32.const 2) (i32.const 0x7ffffff0) (i32.const 100) (i32.const 0) (i32.const 0))";
    check_invalid(text, "out of bounds").await;
}

#[tokio::test]
async fn a_list_beyond_memory_is_refused() {
    let list =
        "(call $answer (i32.const 0) (i32.const 4096) (i32.const -1) (i32.const 0) (i32.const 0))";
    check_invalid(list, "out of bounds").await;
}

#[tokio::test]
async fn a_text_that_is_not_utf_8_is_refused() {
    let text = "(i32.store (i32.const 2048) (i32.const -1))
                (call $answer (i32.const 2) (i32.const 2048) (i32.const 4) (i32.const 0) (i32.const 0))";
    check_invalid(text, "utf-8").await;
}

#[tokio::test]
async fn a_decision_of_an_unknown_kind_is_refused() {
    check_invalid(
        "(call $answer (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))",
        "",
    )
    .await;
}

#[tokio::test]
async fn a_setting_without_a_name_is_refused() {
    let remove =
        "(call $answer (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 1))";
    let nowhere =
        "(i32.store (i32.const 4096) (i32.const 0)) (i32.store (i32.const 4100) (i32.const 0))";
    check_invalid(&format!("{nowhere} {remove}"), "is not a setting name").await;
}

#[tokio::test]
async fn a_reference_to_no_secret_is_refused() {
    // Sets `text` to a reference to the secret `a text` of the vault `a text`.
    let entry = "(i32.store (i32.const 2048) (i32.const 1026)) (i32.store (i32.const 2052) (i32.const 4))
                 (i32.store8 (i32.const 2056) (i32.const 0))
                 (i32.store (i32.const 2060) (i32.const 1024)) (i32.store (i32.const 2064) (i32.const 6))
                 (i32.store (i32.const 2068) (i32.const 1024)) (i32.store (i32.const 2072) (i32.const 6))";
    let set =
        "(call $answer (i32.const 0) (i32.const 2048) (i32.const 1) (i32.const 0) (i32.const 0))";
    check_invalid(
        &format!("{entry} {set}"),
        "`text` to an invalid reference: `a text` is not a vault host",
    )
    .await;
}

#[tokio::test]
async fn an_exit_is_not_a_decision() {
    let exit = Guest {
        imports: r#"(import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))"#.to_owned(),
        ..Guest::deciding("(call $exit (i32.const 0)) (unreachable)")
    };
    assert_eq!(failure(&exit).await, DecideError::Exit(0));
}

#[tokio::test]
async fn an_error_of_the_policy_is_passed_on() {
    let guest = Guest::deciding("(call $fail (i32.const 1024) (i32.const 6))");
    let error = failure(&guest).await;
    assert_eq!(error, DecideError::Policy("a text".to_owned()));
    assert_eq!(error.to_string(), "the policy reports: a text");
}

#[tokio::test]
async fn an_error_of_the_policy_is_truncated_and_cleaned() {
    let long =
        "(memory.fill (i32.const 8192) (i32.const 0x78) (i32.const 90000)) (i32.store8 (i32.const 8200) (i32.const 10))
                (call $fail (i32.const 8192) (i32.const 90000))";
    let DecideError::Policy(text) = failure(&Guest::deciding(long)).await else {
        panic!()
    };
    assert_eq!(text, format!("{} {}…", "x".repeat(8), "x".repeat(991)));
}
