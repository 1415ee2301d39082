//! The common shape of resources in Resource Manager.

use serde::Deserialize;

/// A resource as Resource Manager writes it.
#[derive(Deserialize)]
pub(super) struct Resource<T> {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) properties: Option<T>,
}
