//! The sandbox from outside: good guests, and all kinds of hostile ones.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics fails"
)]

mod answers;
mod crowd;
mod files;
mod guest;
mod invalid_answers;
mod isolation;
mod limits;
mod output;
mod precompiled;
mod world;
