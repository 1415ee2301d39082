//! The host's side of the contract, generated from the WIT. The argument types borrow, so arguments
//! are not copied.
//!
//! The generated `Debug` shows plain text: convert these types, never print them.

wasmtime::component::bindgen!({
    path: "../policy-sdk/wit",
    world: "policy",
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub(crate) use keyrelay::policy::types;
