//! The program, run as its users run it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod author;
mod blobs;
mod harness;
mod hostile;
mod languages;
mod runs;
