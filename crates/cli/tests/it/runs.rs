//! `keyrelay runs`, on a store that was filled as keyrelay-host fills it.

mod follow;
mod list;
mod resubmit;
mod show;
mod store;
