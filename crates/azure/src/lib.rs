#![doc = include_str!("../README.md")]

mod call;
mod cloud;
mod credential;
mod error;
mod http;
mod key_vault;
mod lane;
mod observe;
mod paging;
mod request_log;
mod resource_manager;
mod retry;
mod rights;
mod signing_keys;
mod transport;
mod trouble;

pub use call::{Call, Deadline};
pub use cloud::{Cloud, CloudError};
pub use credential::{Credential, Identity, Token, TokenError};
pub use error::{AzureError, ErrorAnswer, Failure, NextLinkError};
pub use http::{Http, HttpError, Limits};
pub use key_vault::{KeyVault, SecretVersionInfo};
pub use lane::Rate;
pub use observe::{Observe, SPANS};
pub use request_log::{Operation, RequestIds, RequestLog, RequestRecord};
pub use resource_manager::{
    EventSubscription, Progress, ReferenceStatus, Replaced, ResourceManager, Scope, ScopeError,
    Site, Status, SystemTopic, Writing,
};
pub use rights::{Permission, Rights};
pub use signing_keys::{SigningKey, SigningKeys, SigningKeysError};
pub use trouble::{End, Row as TroubleRow, troubles};
