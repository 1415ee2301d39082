//! Resource Manager: settings, references, sites, permissions, vaults and event subscriptions.

mod authentication;
mod authorization;
mod client;
mod event_grid;
mod reference_status;
mod references;
mod resource;
mod scope;
mod settings;
mod settings_writer;
mod sites;
mod vaults;

pub use authentication::AppAuthentication;
pub use client::ResourceManager;
pub use event_grid::{EventSubscription, SystemTopic};
pub use reference_status::{Progress, ReferenceKind, ReferenceStatus, Status};
pub use scope::{Scope, ScopeError};
pub use settings_writer::{SettingsWriter, WriteOutcome};
pub use sites::{Site, SitesPage};
pub use vaults::{AccessPolicy, Vault, VaultAccess};
