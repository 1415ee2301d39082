//! The pages over HTTP, with stores that the records fill.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod actions;
mod browser;
mod escaping;
mod evidence;
mod guard;
mod mounted;
mod pages;
mod scale;
#[path = "../support/site.rs"]
mod site;
