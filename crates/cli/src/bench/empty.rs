//! A policy that always returns the same decision: the minimal cost of a decision.

use anyhow::Context;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const WIT: &str = include_str!("../../../policy-sdk/wit/policy.wit");

/// A module that always decides `refresh`. Its results are in its initial memory: `about` at 16, an
/// empty success at 96, and the decision at 112. Arguments are allocated behind that.
const TEXT: &str = r#"
(module
  (memory (export "memory") 4)
  (global $free (mut i32) (i32.const 4096))
  (data (i32.const 0) "empty0.1.0")
  ;; name, version, summary, occurrences, view
  (data (i32.const 16)
    "\00\00\00\00\05\00\00\00" "\05\00\00\00\05\00\00\00" "\00\00\00\00\05\00\00\00" "\50\00\00\00\01\00\00\00" "\00")
  ;; the occurrences: new-version-created
  (data (i32.const 80) "\00")
  ;; decide: the result is good, the decision is the second one
  (data (i32.const 112) "\00\00\00\00\01\00\00\00")
  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and
        (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $free) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.const 16)))))
    (local.get $at))
  (func (export "describe") (result i32) (i32.const 16))
  (func (export "check-parameters") (param i32 i32) (result i32) (i32.const 96))
  (func (export "decide") (param i32) (result i32) (i32.const 112)))
"#;

/// The binary of the policy.
pub(super) fn module() -> anyhow::Result<Vec<u8>> {
    let mut module = wat::parse_str(TEXT).context("the empty policy cannot be assembled")?;
    let mut resolve = Resolve::default();
    let words = |error| anyhow::anyhow!("the contract cannot be read: {error:#}");
    let package = resolve.push_str("policy.wit", WIT).map_err(words)?;
    let world = resolve
        .select_world(&[package], Some("policy"))
        .map_err(words)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(words)?;
    Ok(module)
}

#[cfg(test)]
mod tests {
    use keyrelay_sandbox::{Compilation, Sandbox};

    use super::*;

    #[tokio::test]
    async fn it_is_a_policy() {
        let policy = Sandbox::new(Compilation::InProcess)
            .unwrap()
            .load("empty", module().unwrap())
            .await
            .unwrap();
        assert_eq!(
            (
                policy.about().name.as_str(),
                policy.about().version.as_str()
            ),
            ("empty", "0.1.0")
        );
    }
}
