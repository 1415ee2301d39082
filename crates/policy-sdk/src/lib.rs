#![doc = include_str!("../README.md")]

mod app;
mod decision;
mod event;
mod export;
mod policy;
mod reference;

/// What `wit-bindgen` makes of the contract. [`export!`] needs it; policies use the types by their short names.
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
