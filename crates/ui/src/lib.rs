#![doc = include_str!("../README.md")]

mod access;
mod act;
mod assets;
mod cached;
mod cases;
mod checks;
mod document;
mod dry_run;
mod evidence;
mod failure;
mod form;
mod guard;
mod links;
mod page;
mod pages;
mod query;
mod recent;
mod router;
mod search;
mod setup;
mod snapshot;
mod sources;
mod visit;

pub use access::{
    AccessControl, AppServiceAuthentication, Authenticate, Authentication, CsrfKey, KeyError, Role,
    SessionToken, User,
};
pub use cases::{CheckedCase, PolicyCases};
pub use checks::{FindingLevel, InstallationChecks, InstallationFinding};
pub use document::fleet_document;
pub use router::router;
pub use setup::Installation;
pub use sources::Sources;
