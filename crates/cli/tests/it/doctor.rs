//! `keyrelay doctor` in an installation that is right, and in installations with one fault each.

mod azure;
mod function_app;
pub(crate) mod installation;
mod many_apps;
mod vaults;
