//! The pages in a real browser: Chromium, driven by `chromedriver`, with scripts and without.
//!
//! Without `chromedriver` on the path the tests say so, and pass: the packages `chromium` and
//! `chromium-driver` have both. `KEYRELAY_PICTURES` names a folder for pictures of the pages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accessibility;
mod driver;
mod live;
mod operator;
#[path = "../support/site.rs"]
#[expect(dead_code, reason = "the other tests use more of it")]
mod site;
