//! No state survives a decision.

use keyrelay_model::Decision;

use crate::guest::{Guest, HEX_NOTICE, decide, load};

#[tokio::test]
async fn a_guest_that_counts_never_gets_beyond_one() {
    // Counts in a global, in memory, and by growing its memory.
    let guest = Guest {
        functions: "(global $count (mut i64) (i64.const 0))".to_owned(),
        ..Guest::deciding(&format!(
            "(global.set $count (i64.add (global.get $count) (i64.const 1))) (call $hex (global.get $count))
             (i64.store (i32.const 2048) (i64.add (i64.load (i32.const 2048)) (i64.const 1)))
             (call $hex (i64.load (i32.const 2048)))
             (drop (memory.grow (i32.const 1))) (call $hex (i64.extend_i32_u (memory.size))) {HEX_NOTICE}"
        ))
    };
    let policy = load(guest.component()).await.unwrap();
    let counted = Decision::Notice(format!("{:016x}{:016x}{:016x}", 1, 1, 3));
    for _ in 0..3 {
        assert_eq!(
            decide(&policy, "event-1", &[]).await.unwrap().decision,
            counted
        );
    }
}
