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
    /// The number of pages before that one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pages: u32,
}

impl RemainingSites {
    /// All sites of a scope.
    pub fn all(scope: &Scope) -> Self {
        Self {
            scope: scope.clone(),
            next: None,
            pages: 0,
        }
    }

    /// The sites behind the page that comes next, whose link to the page after it is `next`.
    #[must_use]
    pub fn after_page(&self, next: PageLink) -> Self {
        Self {
            scope: self.scope.clone(),
            next: Some(next),
            pages: self.pages.saturating_add(1),
        }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
