#![doc = include_str!("../README.md")]

mod admit;
pub mod config;
mod decide;
pub mod denials;
pub mod discovery;
mod group;
pub mod history;
pub mod invocation;
mod memory;
mod order;
pub mod outcome;
pub mod pending;
pub mod reconcile;
pub mod record;
pub mod relay;
pub mod route;
pub mod run_id;
pub mod server;
pub mod settled;
pub mod shelf;
pub mod start;
mod state;
pub mod store;
pub mod telemetry;
pub mod turns;
pub mod verify;
pub mod webhook;
