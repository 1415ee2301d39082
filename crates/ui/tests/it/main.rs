//! The pages over HTTP, with stores that the records fill.

mod actions;
mod browser;
mod escaping;
mod evidence;
mod guard;
mod pages;
mod scale;
#[path = "../support/site.rs"]
mod site;
