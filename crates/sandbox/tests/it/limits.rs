//! One guest for each limit.

use std::collections::BTreeMap;
use std::time::Duration;

use keyrelay_sandbox::{AppView, DecideError, LoadError, PolicyLimits};

use crate::guest::{Guest, REFRESH, decide_about, event, failure, load};

#[tokio::test]
async fn ends_an_endless_loop() {
    let guest = Guest::deciding("(loop $again (br $again)) (unreachable)");
    assert_eq!(
        failure(&guest).await,
        DecideError::Time {
            limit: Duration::from_millis(100)
        }
    );
}

#[tokio::test]
async fn ends_endless_growth_of_memory() {
    let guest = Guest::deciding(
        "(loop $again (drop (memory.grow (i32.const 1))) (br $again)) (unreachable)",
    );
    assert_eq!(
        failure(&guest).await,
        DecideError::Memory { limit: 4 << 20 }
    );
}

#[tokio::test]
async fn a_second_memory_counts_like_the_first() {
    let grow = |pages: u32| Guest {
        functions: "(memory $second 1)".to_owned(),
        ..Guest::deciding(&format!(
            "(drop (memory.grow 0 (i32.const {pages}))) (drop (memory.grow $second (i32.const {pages}))) {REFRESH}"
        ))
    };
    // Each is below the limit of 4 MiB, which is 64 pages.
    assert_eq!(
        failure(&grow(40)).await,
        DecideError::Memory { limit: 4 << 20 }
    );
    assert!(decide_about(&grow(20), &[]).await.is_ok());
}

#[tokio::test]
async fn ends_endless_growth_of_a_table() {
    let guest = Guest {
        functions: "(table $t 1 funcref)".to_owned(),
        ..Guest::deciding(
            "(loop $again (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $again)) (unreachable)",
        )
    };
    assert!(matches!(failure(&guest).await, DecideError::Tables { .. }));
}

#[tokio::test]
async fn ends_a_deep_recursion() {
    let guest = Guest {
        functions:
            "(func $deeper (param i32) (result i32)
                      (i32.add (local.get 0) (call $deeper (i32.add (local.get 0) (i32.const 1)))))"
                .to_owned(),
        ..Guest::deciding("(call $deeper (i32.const 0))")
    };
    assert_eq!(failure(&guest).await, DecideError::Stack { limit: 1 << 20 });
}

#[tokio::test]
async fn ends_a_flood_of_handles() {
    let guest = Guest {
        imports: r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))"#
            .to_owned(),
        ..Guest::deciding("(loop $again (drop (call $stdout)) (br $again)) (unreachable)")
    };
    assert_eq!(failure(&guest).await, DecideError::Handles { limit: 1000 });
}

#[tokio::test]
async fn refuses_a_giant_decision() {
    let text = "(drop (memory.grow (i32.const 16)))
                (call $answer (i32.const 3) (i32.const 0) (i32.const 1000000) (i32.const 0) (i32.const 0))";
    assert_eq!(
        failure(&Guest::deciding(text)).await,
        DecideError::TooLarge { limit: 256 << 10 }
    );
}

#[tokio::test]
async fn refuses_a_decision_beyond_a_small_limit() {
    let notice =
        "(call $answer (i32.const 2) (i32.const 1024) (i32.const 6) (i32.const 0) (i32.const 0))";
    let policy = load(Guest::deciding(notice).component()).await.unwrap();
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/orders"
        .parse()
        .unwrap();
    let app = AppView {
        id: &id,
        settings: &[],
        parameters: &BTreeMap::new(),
        grant: &keyrelay_model::Grant::default(),
    };
    for (limit, fits) in [(5, false), (6, true)] {
        let limits = PolicyLimits {
            decision: limit,
            ..PolicyLimits::default()
        };
        let error = policy
            .decide(&event("event-1"), &app, &limits)
            .await
            .err()
            .map(|undecided| undecided.error);
        assert_eq!(error, (!fits).then_some(DecideError::TooLarge { limit }));
    }
}

#[tokio::test]
async fn refuses_a_decision_of_very_many_entries() {
    // 20,000 empty names to remove: 160 kB in the guest, and much more here.
    let names = "(drop (memory.grow (i32.const 16)))
                 (call $answer (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 20000))";
    assert_eq!(
        failure(&Guest::deciding(names)).await,
        DecideError::TooLarge { limit: 256 << 10 }
    );
}

#[tokio::test]
async fn refuses_more_than_512_instances() {
    check_parts(r#"(module)"#, 513, |error| {
        matches!(error, DecideError::Instances { limit: 512 })
    })
    .await;
}

#[tokio::test]
async fn refuses_more_than_512_tables() {
    let module = format!("(module {})", "(table 0 funcref)".repeat(100));
    check_parts(&module, 6, |error| {
        matches!(error, DecideError::Tables { .. })
    })
    .await;
}

#[tokio::test]
async fn refuses_tables_that_begin_too_large() {
    let module = "(module (table 200001 funcref))";
    check_parts(module, 1, |error| {
        matches!(
            error,
            DecideError::Tables {
                elements: 200_000,
                ..
            }
        )
    })
    .await;
}

#[tokio::test]
async fn refuses_more_than_16_memories() {
    check_parts("(module (memory 0))", 16, |error| {
        matches!(error, DecideError::Memories { limit: 16 })
    })
    .await;
}

#[tokio::test]
async fn refuses_a_memory_that_begins_too_large() {
    check_parts("(module (memory 1025))", 1, |error| {
        matches!(error, DecideError::Memory { .. })
    })
    .await;
}

#[tokio::test]
async fn a_policy_of_many_parts_is_loaded() {
    load(with_parts("(module (table 10 funcref))", 300))
        .await
        .unwrap();
}

/// Checks that a policy with many instances of a module fails when it is loaded.
async fn check_parts(module: &str, count: u32, expected: impl Fn(&DecideError) -> bool) {
    let error = load(with_parts(module, count)).await.unwrap_err();
    let LoadError::Describe(error) = error else {
        panic!("{error}")
    };
    assert!(expected(&error), "{error}");
}

/// A policy with additional instances of a module.
fn with_parts(module: &str, count: u32) -> Vec<u8> {
    const MODULE_SECTION: u8 = 1;
    const INSTANCE_SECTION: u8 = 2;
    let mut component = Guest::refreshing().component();
    let index = top_level_sections(&component)
        .filter(|kind| *kind == MODULE_SECTION)
        .count();
    append(
        &mut component,
        MODULE_SECTION,
        &wat::parse_str(module).unwrap(),
    );
    let mut instances = leb128(count);
    for _ in 0..count {
        instances.extend([0, u8::try_from(index).unwrap(), 0]);
    }
    append(&mut component, INSTANCE_SECTION, &instances);
    component
}

fn append(component: &mut Vec<u8>, kind: u8, content: &[u8]) {
    component.push(kind);
    component.extend(leb128(content.len().try_into().unwrap()));
    component.extend(content);
}

fn leb128(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn top_level_sections(component: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = component[8..].iter().copied();
    std::iter::from_fn(move || {
        let kind = rest.next()?;
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let byte = rest.next()?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        if length > 0 {
            rest.nth(length - 1)?;
        }
        Some(kind)
    })
}
