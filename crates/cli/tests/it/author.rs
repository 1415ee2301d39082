//! The commands for authors of policies, run on the shipped policies.

mod app;
mod cases;
mod decisions;
mod policies;
