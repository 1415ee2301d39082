//! The store and its leases, in a real folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lease;
mod objects;
