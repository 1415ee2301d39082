//! The program, run as its users run it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod author;
mod blobs;
mod calibrate;
mod compile_bombs;
mod doctor;
mod foreign_code;
// The sandbox's own hostile guests.
#[path = "../../../sandbox/tests/it/guest.rs"]
#[expect(dead_code, reason = "its other half runs guests without a command")]
mod guest;
mod harness;
mod hostile;
mod languages;
mod local;
mod package;
mod pages;
mod runs;
mod signed_lock;
mod status;
mod ui;
