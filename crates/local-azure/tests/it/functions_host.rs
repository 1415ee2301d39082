//! The stand-in for the Functions host, with a real process as the handler.

mod crashes;
mod files;
mod instances;
mod kill;
mod listener;
mod requests;
mod responses;
mod timers;
