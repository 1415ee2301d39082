//! Integration tests of the store and its leases, in a folder and, if Azurite is installed, in a
//! container.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backend;
mod container;
mod lease;
mod objects;
