//! The host's side of the contract, generated from the one copy of the WIT. The types of its arguments borrow, so that
//! nothing is copied on the way into a policy.
//!
//! Generated `Debug` shows everything, plain text too: these types are converted, never printed.

wasmtime::component::bindgen!({
    path: "../policy-sdk/wit",
    world: "policy",
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub(crate) use keyrelay::policy::types;
