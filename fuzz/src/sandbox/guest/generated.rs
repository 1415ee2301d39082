//! Components and modules that wasm-smith makes.

use std::sync::LazyLock;

use arbitrary::{Error, Result, Unstructured};
use wasm_smith::{Component, Config, Module};

use super::typed;

/// The exports of a policy as a core module, with the types of their lowered forms.
const EXPORTS: &str = r#"(module
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
    (func (export "describe") (result i32) (i32.const 0))
    (func (export "check-parameters") (param i32 i32) (result i32) (i32.const 0))
    (func (export "decide") (param i32) (result i32) (i32.const 0)))"#;

/// Any component.
pub(super) fn component(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(Component::new(Config::default(), input)?.to_bytes())
}

/// A core module with the exports of a policy, which do anything.
pub(super) fn module(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    static LIKE_A_POLICY: LazyLock<Vec<u8>> =
        LazyLock::new(|| wat::parse_str(EXPORTS).expect("valid text"));
    let config = Config {
        exports: Some(LIKE_A_POLICY.clone()),
        max_imports: 0,
        ..Config::default()
    };
    let module = Module::new(config, input)?.to_bytes();
    typed(module).ok_or(Error::IncorrectFormat)
}
