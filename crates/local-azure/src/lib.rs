#![doc = include_str!("../README.md")]

mod answer;
mod app_process;
mod apps;
mod azure_cloud;
mod backend;
mod call;
mod cloud;
mod control;
pub mod event_grid;
mod exchange;
mod faults;
pub mod functions_host;
mod hidden;
mod identity;
mod journal;
mod key_vault;
mod local;
mod paging;
mod published_event;
mod requests;
mod resource_manager;
mod serve;
mod vaults;
pub mod world;

pub use app_process::AppLine;
pub use apps::{ReferenceRow, ResolveStatus};
pub use azure_cloud::AzureCloud;
pub use cloud::{Cloud, CloudError, CloudOptions, Ports};
pub use faults::{Effect, ErrorShape, Fault};
pub use hidden::Hidden;
pub use local::{LocalAzure, LocalAzureError, LocalAzureOptions};
pub use published_event::PublishedEvent;
pub use requests::{Request, Service};
pub use vaults::{Attributes, VaultError};
pub use world::{World, WorldError};
