//! Integration tests against a local fake of Azure.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a test marks its child process with a variable"
)]

mod cloud;
mod errors;
mod fake;
mod identities;
mod key_vault;
mod log_analytics;
mod logging;
mod managed_identity;
mod process;
mod references;
mod retries;
mod settings;
mod sites;
mod vaults;
mod writes;
