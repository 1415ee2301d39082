//! The real `keyrelay-host`, started and called by a stand-in for Azure, with real policies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod delivery;
mod entra;
mod grants;
mod harness;
mod order;
mod pages;
mod policies;
mod reconcile;
mod reload;
mod resilience;
mod rotation;
mod secrecy;
mod start;
mod store;
mod telemetry;
mod together;
mod undo;
mod webhook;
mod webhook_harness;
mod webhook_limits;
mod webhook_tokens;
