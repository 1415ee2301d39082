#![doc = include_str!("../README.md")]

mod admit;
pub mod config;
mod decide;
pub mod discovery;
pub mod invocation;
pub mod outcome;
pub mod record;
pub mod relay;
mod rotation;
pub mod route;
pub mod server;
pub mod shelf;
pub mod start;
pub mod verify;
pub mod writers;
