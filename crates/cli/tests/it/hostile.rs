//! Hostile and broken guests, through the commands that authors use: each gets a clear message, and
//! harms nothing.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::guest::Guest as Module;
use crate::harness::{Done, done};

/// A folder with one policy in it.
struct Guest(TempDir);

impl Guest {
    fn new(wasm: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("guest.wasm"), wasm).unwrap();
        Self(folder)
    }

    /// The policy for tests, which does what its script says.
    fn scripted() -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let module = fs::read(target.join("wasm32-unknown-unknown/policy/scripted_policy.wasm"));
        Self::new(&module.expect("run `cargo xtask policies`"))
    }

    async fn run(&self, arguments: &[&str]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyrelay"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .kill_on_drop(true)
            .stdin(Stdio::null());
        done(command).await
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }
}

/// Runs a script through `test` and `run`, and expects both to say the same.
async fn decides(script: &str, more: &str, expected: &str) {
    let guest = Guest::scripted();
    let rule = format!("[parameters]\nscript = \"{script}\"\n{more}");
    guest.write(
        "case.toml",
        &format!("[event]\nsecret = \"sql\"\nversion = \"2\"\n[settings]\nPLAIN = \"planted-value-1\"\n{rule}"),
    );
    let tested = guest
        .run(&["test", "guest.wasm", "case.toml", "--json"])
        .await;
    assert_eq!(tested.code, Some(1), "{}{}", tested.output, tested.errors);
    let result: Value = serde_json::from_str(tested.output.trim()).unwrap();
    let said = result["difference"]
        .to_string()
        .replace("\\\"", "\"")
        .replace("\\\\", "\\");
    assert!(said.contains(expected), "{said}");

    let sample = guest
        .run(&[
            "events",
            "sample",
            "SecretNewVersionCreated",
            "--secret",
            "sql",
            "--version",
            "2",
        ])
        .await;
    guest.write("event.json", &sample.output);
    guest.write("settings.json", "{\"PLAIN\":\"planted-value-1\"}");
    let inline = |table: &str| {
        table
            .replace("[parameters]", "[rotation.parameters]")
            .replace("[grant]", "[rotation.grant]")
    };
    let limits = inline(&rule).replace("[limits]", "[rotation.limits]");
    guest.write(
        "keyrelay.toml",
        &format!("[[rotation]]\nsecret = \"contoso-kv/sql\"\n{limits}"),
    );
    let run = guest
        .run(&[
            "run",
            "guest.wasm",
            "--event",
            "event.json",
            "--settings",
            "settings.json",
        ])
        .await;
    assert_eq!(run.code, Some(1), "{}{}", run.output, run.errors);
    let said = run.output + &run.errors;
    assert!(said.contains(expected), "{said}");
    assert!(
        !said.contains("planted") && !tested.output.contains("planted-value"),
        "{said}"
    );
}

#[tokio::test]
async fn one_that_does_not_end_is_stopped() {
    decides(
        "loop",
        "[limits]\ntime_ms = 100\n",
        "did not decide within 100 ms",
    )
    .await;
}

#[tokio::test]
async fn one_that_panics_crashes_alone() {
    decides("panic PLAIN", "", "the policy crashed").await;
}

#[tokio::test]
async fn one_that_reports_an_error_is_quoted() {
    decides("fail PLAIN", "", "the policy reports: PLAIN is withheld").await;
}

#[tokio::test]
async fn one_that_gives_away_what_was_revealed_to_it_is_silenced() {
    decides("fail PLAIN", "[grant]\nreveal = [\"PLAIN\"]\n", "[hidden]").await;
}

#[tokio::test]
async fn one_that_wants_what_is_not_its_own_is_refused_with_the_grant_that_is_missing() {
    decides("set PLAIN text stolen", "", "missing grant").await;
    decides("remove PLAIN", "", "remove = ").await;
}

/// Has a file inspected, tested and run.
async fn is_quarantined(wasm: &[u8], expected: &str) {
    let guest = Guest::new(wasm);
    guest.write("case.toml", "[event]\nsecret = \"sql\"\n");
    let sample = guest
        .run(&["events", "sample", "SecretNewVersionCreated"])
        .await;
    guest.write("event.json", &sample.output);
    guest.write("settings.json", "{}");
    for arguments in [
        &["inspect", "guest.wasm"][..],
        &["test", "guest.wasm", "case.toml"],
        &[
            "run",
            "guest.wasm",
            "--event",
            "event.json",
            "--settings",
            "settings.json",
        ],
    ] {
        let done = tokio::time::timeout(Duration::from_secs(60), guest.run(arguments))
            .await
            .unwrap();
        let said = done.output + &done.errors;
        assert!(
            done.code == Some(1) && said.contains(expected),
            "{arguments:?}: {said}"
        );
    }
}

#[tokio::test]
async fn files_that_are_no_policies_are_named_for_what_they_are() {
    is_quarantined(b"", "empty").await;
    is_quarantined(b"#!/bin/sh\n", "not WebAssembly").await;
    is_quarantined(b"\0asm\x01\0\0\0", "without the types of a policy").await;
    is_quarantined(b"\0asm\x01\0", "is truncated").await;
    is_quarantined(
        &wat::parse_str("(component)").unwrap(),
        "component of another world",
    )
    .await;
    let greedy = "(component (import \"wasi:http/types@0.2.0\" (instance)))";
    is_quarantined(&wat::parse_str(greedy).unwrap(), "another world").await;
}

#[tokio::test]
async fn half_a_policy_is_refused() {
    let whole =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/pin.wasm")).unwrap();
    is_quarantined(&whole[..whole.len() / 2], "is truncated").await;
}

/// Has a guest that loads well, and decides badly, inspected, tested and run.
async fn is_ended(module: &Module, expected: &str) {
    let guest = Guest::new(&module.component());
    let inspected = guest.run(&["inspect", "guest.wasm"]).await;
    assert!(
        inspected.code == Some(0) && inspected.output.contains("a text"),
        "{}{}",
        inspected.output,
        inspected.errors
    );
    guest.write(
        "case.toml",
        "[event]\nsecret = \"sql\"\nversion = \"2\"\n[limits]\ntime_ms = 200\n",
    );
    let sample = guest
        .run(&[
            "events",
            "sample",
            "SecretNewVersionCreated",
            "--secret",
            "sql",
        ])
        .await;
    guest.write("event.json", &sample.output);
    guest.write("settings.json", "{}");
    guest.write(
        "keyrelay.toml",
        "[[rotation]]\nsecret = \"sql\"\nlimits = { time_ms = 200 }\n",
    );
    for arguments in [
        &["test", "guest.wasm", "case.toml"][..],
        &[
            "run",
            "guest.wasm",
            "--event",
            "event.json",
            "--settings",
            "settings.json",
        ],
    ] {
        let done = tokio::time::timeout(Duration::from_secs(60), guest.run(arguments))
            .await
            .unwrap();
        let said = done.output + &done.errors;
        assert!(
            done.code == Some(1) && said.contains(expected),
            "{arguments:?}: {said}"
        );
        assert!(said.len() < 40_000, "{} bytes", said.len());
    }
}

#[tokio::test]
async fn one_that_grows_is_ended() {
    let endless = "(loop $again (drop (memory.grow (i32.const 1))) (br $again)) (unreachable)";
    is_ended(&Module::deciding(endless), "memory").await;
}

#[tokio::test]
async fn one_that_calls_itself_is_ended() {
    let functions = "(func $deeper (param i32) (result i32)
        (i32.add (local.get 0) (call $deeper (i32.add (local.get 0) (i32.const 1)))))";
    let guest = Module {
        functions: functions.to_owned(),
        ..Module::deciding("(call $deeper (i32.const 0))")
    };
    is_ended(&guest, "stack").await;
}

#[tokio::test]
async fn one_that_lies_about_where_its_answer_is_is_ended() {
    is_ended(&Module::deciding("(i32.const 0x7ffffff0)"), "out of bounds").await;
    is_ended(&Module::deciding("(i32.const 65)"), "aligned").await;
    let text = "(call $answer (i32.const 2) (i32.const 0x7ffffff0) (i32.const 100) (i32.const 0) (i32.const 0))";
    is_ended(&Module::deciding(text), "out of bounds").await;
}

#[tokio::test]
async fn one_that_answers_too_much_is_ended() {
    let giant = "(drop (memory.grow (i32.const 16)))
                 (call $answer (i32.const 3) (i32.const 0) (i32.const 1000000) (i32.const 0) (i32.const 0))";
    is_ended(&Module::deciding(giant), "decision is larger").await;
}

#[tokio::test]
async fn one_that_floods_the_log_is_ended() {
    let imports = r#"
        (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
        (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
          (func $write (param i32 i32 i32 i32)))"#;
    let decide = "(local $stream i32) (local.set $stream (call $stdout))
        (loop $again
          (call $write (local.get $stream) (i32.const 1024) (i32.const 6) (i32.const 2048)) (br $again))
        (unreachable)";
    is_ended(
        &Module {
            imports: imports.to_owned(),
            ..Module::deciding(decide)
        },
        "printed more than 16 KiB",
    )
    .await;
}

#[tokio::test]
async fn one_that_never_stops_printing_is_ended() {
    let imports = r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))"#;
    let decide = "(loop $again (drop (call $stdout)) (br $again)) (unreachable)";
    is_ended(
        &Module {
            imports: imports.to_owned(),
            ..Module::deciding(decide)
        },
        "1000",
    )
    .await;
}

#[tokio::test]
async fn one_that_never_says_what_it_is_is_quarantined() {
    let endless = "(loop $again (br $again)) (unreachable)".to_owned();
    is_quarantined(
        &Module {
            describe: endless,
            ..Module::refreshing()
        }
        .component(),
        "did not decide within",
    )
    .await;
}
