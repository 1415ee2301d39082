//! Integration tests of the sandbox, with well-behaved and hostile guests.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics fails"
)]

mod concurrency;
mod decisions;
mod files;
mod guest;
mod invalid_decisions;
mod isolation;
mod limits;
mod output;
mod precompiled;
mod wasi_context;
