#![doc = include_str!("../README.md")]

mod app;
mod decision;
mod event;
mod export;
mod policy;
mod reference;

/// The bindings that `wit-bindgen` generates from the contract. [`export!`] needs them; policies
/// use the re-exports.
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "policy",
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        default_bindings_module: "keyrelay_policy::bindings",
        generate_unused_types: true,
    });
}

pub use bindings::keyrelay::policy::types::{
    About, App, Decision, Event, NewValue, ObjectKind, Occurrence, Patch, Reference, Setting,
    Value, View,
};
#[doc(hidden)]
pub use export::about;
pub use policy::Policy;
