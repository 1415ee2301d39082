#![doc = include_str!("../README.md")]

mod authorization_failure;
mod call;
mod cloud;
mod credential;
mod error;
mod error_response;
mod excerpt;
mod failure;
mod failure_table;
mod http;
mod identity;
mod key_vault;
mod limits;
mod log_analytics;
mod observer;
mod paging;
mod raw;
mod request_log;
mod resource_manager;
mod retry;
mod rights;
mod root_certificates;
mod signing_keys;
mod spread;
mod throttle;
mod token;
mod transport;

pub use call::{Call, Deadline, Priority};
pub use cloud::{Cloud, CloudError};
pub use credential::Credential;
pub use error::AzureError;
pub use error_response::ErrorResponse;
pub use failure::{Failure, NextLinkError};
pub use failure_table::{FailureClass, FailureRow, failure_table};
pub use http::{Http, HttpError};
pub use identity::Identity;
pub use key_vault::{KeyVault, SecretVersionInfo};
pub use limits::{Rate, RequestLimits};
pub use log_analytics::{LogAnalytics, SecretRead, SecretVersionId};
pub use observer::{RequestObserver, SPANS};
pub use paging::PageLink;
pub use raw::{RawClient, RawRequest, RawResponse};
pub use request_log::{Operation, RequestIds, RequestLog, RequestRecord};
pub use resource_manager::{
    AccessPolicy, AppAuthentication, EventSubscription, Progress, ReferenceKind, ReferenceStatus,
    ResourceManager, Scope, ScopeError, SettingsWriter, Site, SitesPage, Status, SystemTopic,
    Vault, VaultAccess, WriteOutcome,
};
pub use retry::ROLE_PROPAGATION;
pub use rights::{Permission, Rights};
pub use signing_keys::{SigningKey, SigningKeys, SigningKeysError};
pub use spread::identity_of;
pub use token::{Token, TokenError};
