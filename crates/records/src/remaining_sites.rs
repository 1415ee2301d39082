//! The part of a scope whose sites are still to be handled.

use keyrelay_azure::{PageLink, Scope};
use serde::{Deserialize, Serialize};

/// The sites of a scope that are still to be handled for an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RemainingSites {
    /// The scope.
    #[serde(with = "crate::text")]
    pub scope: Scope,
    /// The page of its list that comes next. None: the first one.
    pub next: Option<PageLink>,
}

impl RemainingSites {
    /// All sites of a scope.
    pub fn all(scope: &Scope) -> Self {
        Self {
            scope: scope.clone(),
            next: None,
        }
    }
}
