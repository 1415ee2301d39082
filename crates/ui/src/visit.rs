//! The visit of a user: what every page needs.

use std::sync::Arc;

use crate::access::User;
use crate::links::Links;
use crate::sources::Sources;

/// The visit of a user to one page.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) sources: Arc<Sources>,
    pub(crate) links: Links,
    pub(crate) user: User,
    /// The token of the forms. None: the user may not act.
    pub(crate) form_token: Option<String>,
}
