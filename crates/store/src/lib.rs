#![doc = include_str!("../README.md")]

mod client;
mod clock;
mod container;
mod error;
mod folder;
mod lease;
mod store;
mod watched;

pub use container::{ContainerError, ContainerUrl, TokenProvider};
pub use error::StoreError;
pub use lease::{Acquired, Lease, LeaseError};
pub use store::{Object, ObjectVersion, Store};
