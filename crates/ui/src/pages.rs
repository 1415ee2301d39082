//! The pages, one file each.

pub(crate) mod actions;
pub(crate) mod app;
pub(crate) mod fleet;
pub(crate) mod health;
pub(crate) mod overview;
pub(crate) mod policies;
pub(crate) mod rule;
pub(crate) mod run;
pub(crate) mod run_list;
pub(crate) mod runs;
pub(crate) mod secret;
pub(crate) mod use_list;
