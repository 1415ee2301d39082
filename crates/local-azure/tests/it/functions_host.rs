//! The stand-in for the Functions host, with a real process as the handler.

mod answers;
mod crashes;
mod files;
mod listener;
mod requests;
