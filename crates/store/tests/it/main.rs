//! The store and its leases: in a real folder, and in a real container of Azurite when there is one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod container;
mod lease;
mod objects;
mod place;
