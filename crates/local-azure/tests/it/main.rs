//! The stand-in, from outside: real HTTP and real processes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cloud;
mod event_grid;
mod functions_host;
mod handler_app;
mod local;
