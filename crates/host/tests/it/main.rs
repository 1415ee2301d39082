//! The real `keyrelay-host`, started and called by a stand-in for Azure, with real policies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod coalescing;
mod delivery;
mod early_news;
mod entra;
mod evidence;
mod fixtures;
mod grants;
mod harness;
mod holds;
mod identities;
mod index;
mod late_write;
mod other_writers;
mod pages;
mod pins;
mod policies;
mod reconcile;
mod reload;
mod resilience;
mod rollback;
mod rotation;
mod scopes;
mod secrecy;
mod setup;
mod start;
mod store;
mod telemetry;
mod ui;
mod version_order;
mod webhook;
mod webhook_flood;
mod webhook_harness;
mod webhook_limits;
mod webhook_tokens;
