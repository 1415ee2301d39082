//! The crate against a server on this machine that plays Azure's part.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test that runs itself again tells itself so by a variable"
)]

mod cloud;
mod errors;
mod fake;
mod key_vault;
mod logging;
mod managed_identity;
mod process;
mod references;
mod repeating;
mod settings;
mod sites;
mod writing;
