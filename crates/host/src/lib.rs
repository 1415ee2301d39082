#![doc = include_str!("../README.md")]

pub mod functions;
mod index;
mod pipeline;
pub mod policy_cache;
mod reconcile;
pub mod services;
mod single_flight;
pub mod start;
pub mod telemetry;
mod versions;
pub mod webhook;
