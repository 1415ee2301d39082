//! The WASI context of a guest: stopped clocks, random numbers derived from the event, and no
//! capabilities.

use keyrelay_model::Decision;

use crate::guest::{Guest, HEX_NOTICE, decide, decide_about, load};

/// A guest that returns a notice with numbers, each as 16 digits.
fn noticing(imports: &str, numbers: &str) -> Guest {
    Guest {
        imports: imports.to_owned(),
        ..Guest::deciding(&format!("{numbers} {HEX_NOTICE}"))
    }
}

async fn noticed(guest: &Guest, event_id: &str) -> String {
    let policy = load(guest.component()).await.unwrap();
    match decide(&policy, event_id, &[]).await.unwrap().decision {
        Decision::Notice(text) => text,
        decision => panic!("{decision:?}"),
    }
}

#[tokio::test]
async fn the_clocks_stand_still() {
    let guest = noticing(
        r#"(import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall (param i32)))
           (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $monotonic (result i64)))"#,
        "(call $wall (i32.const 2048)) (call $hex (i64.load (i32.const 2048)))
         (call $hex (i64.extend_i32_u (i32.load (i32.const 2056))))
         (call $hex (call $monotonic)) (call $hex (call $monotonic))",
    );
    let seconds = format!("{:016x}", 1_600_000_000);
    assert_eq!(noticed(&guest, "event-1").await, seconds + &"0".repeat(48));
}

#[tokio::test]
async fn a_wait_is_over_at_once() {
    let guest = noticing(
        r#"(import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
           (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $duration (param i64) (result i32)))
           (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-instant" (func $instant (param i64) (result i32)))
           (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#,
        // A hundred years each: with real timers this test would not end.
        "(call $block (call $duration (i64.const 3153600000000000000)))
         (call $block (call $instant (i64.const 3153600000000000000)))
         (call $hex (call $now))",
    );
    assert_eq!(noticed(&guest, "event-1").await, "0".repeat(16));
}

#[tokio::test]
async fn random_numbers_are_those_of_the_event() {
    let guest = noticing(
        r#"(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
           (import "wasi:random/random@0.2.0" "get-random-bytes" (func $bytes (param i64 i32)))
           (import "wasi:random/insecure@0.2.0" "get-insecure-random-u64" (func $insecure (result i64)))
           (import "wasi:random/insecure-seed@0.2.0" "insecure-seed" (func $seed (param i32)))"#,
        "(call $hex (call $random)) (call $hex (call $random))
         (call $bytes (i64.const 8) (i32.const 2048)) (call $hex (i64.load (i32.load (i32.const 2048))))
         (call $hex (call $insecure)) (call $seed (i32.const 2048)) (call $hex (i64.load (i32.const 2048)))",
    );
    let first = noticed(&guest, "event-1").await;
    assert_eq!(first, noticed(&guest, "event-1").await);
    assert_ne!(first, noticed(&guest, "event-2").await);
    assert_ne!(
        first[..16],
        first[16..32],
        "a stream of numbers, not one number"
    );
}

#[tokio::test]
async fn there_are_no_files_no_environment_and_no_arguments() {
    let guest = noticing(
        r#"(import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $directories (param i32)))
           (import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
           (import "wasi:cli/environment@0.2.0" "get-arguments" (func $arguments (param i32)))"#,
        "(call $directories (i32.const 2048)) (call $hex (i64.extend_i32_u (i32.load (i32.const 2052))))
         (call $environment (i32.const 2048)) (call $hex (i64.extend_i32_u (i32.load (i32.const 2052))))
         (call $arguments (i32.const 2048)) (call $hex (i64.extend_i32_u (i32.load (i32.const 2052))))",
    );
    assert_eq!(noticed(&guest, "event-1").await, "0".repeat(48));
}

#[tokio::test]
async fn the_network_is_denied() {
    // Each call writes a result: 1 (an error) in the low half, its code in the high one.
    let guest = noticing(
        r#"(import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket" (func $tcp (param i32 i32)))
           (import "wasi:sockets/udp-create-socket@0.2.0" "create-udp-socket" (func $udp (param i32 i32)))
           (import "wasi:sockets/instance-network@0.2.0" "instance-network" (func $network (result i32)))
           (import "wasi:sockets/ip-name-lookup@0.2.0" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))"#,
        r#"(call $tcp (i32.const 0) (i32.const 2048)) (call $hex (i64.load (i32.const 2048)))
           (call $udp (i32.const 0) (i32.const 2056)) (call $hex (i64.load (i32.const 2056)))
           (call $resolve (call $network) (i32.const 1026) (i32.const 4) (i32.const 2064))
           (call $hex (i64.load (i32.const 2064)))"#,
    );
    let (access_denied, permanent_resolver_failure) = ("0000000100000001", "0000001400000001");
    assert_eq!(
        noticed(&guest, "event-1").await,
        access_denied.repeat(2) + permanent_resolver_failure
    );
}

#[tokio::test]
async fn input_is_closed() {
    let guest = noticing(
        r#"(import "wasi:cli/stdin@0.2.0" "get-stdin" (func $stdin (result i32)))
           (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))"#,
        "(call $read (call $stdin) (i64.const 1) (i32.const 2048)) (call $hex (i64.load (i32.const 2048)))",
    );
    // An error, and of the two kinds of error the second: `closed`.
    assert_eq!(noticed(&guest, "event-1").await, "0000000100000001");
}

#[tokio::test]
async fn a_flood_of_random_bytes_is_refused() {
    let guest = Guest {
        imports: r#"(import "wasi:random/random@0.2.0" "get-random-bytes" (func $bytes (param i64 i32)))"#.to_owned(),
        ..Guest::deciding("(call $bytes (i64.const 100000000000) (i32.const 2048)) (unreachable)")
    };
    let error = decide_about(&guest, &[]).await.unwrap_err();
    assert!(error.to_string().contains("exceeds limit"), "{error}");
}
