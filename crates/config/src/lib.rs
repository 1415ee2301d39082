#![doc = include_str!("../README.md")]

mod audit;
mod cloud;
mod config;
mod environment;
mod host_name;
pub mod keys;
mod mode;
mod own_app;
mod problem;
mod route;
mod rule;
mod store_location;
mod table;
mod vault;
mod webhook;

pub use config::Config;
pub use environment::identities;
pub use host_name::HostName;
pub use mode::{LogLevel, Mode, TelemetryMode};
pub use own_app::{OwnApp, UnknownOwnApp};
pub use problem::Problem;
pub use route::{DEFAULT_POLICY, Route, route_of};
pub use rule::{LimitOverrides, Rule, SecretPattern};
pub use store_location::StoreLocation;
pub use webhook::WebhookConfig;
