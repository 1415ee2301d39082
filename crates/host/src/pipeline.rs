//! The pipeline: the steps of an event, in their order.
//!
//! - [`run`] is the life of a run: it calls the steps. Other modules call this and `events` only.
//! - [`events`] begins the runs of a delivery, and refuses the events of other vaults together.
//! - `changes` notes the apps that events report as changed.
//! - [`admit`] rejects events that are not to be handled; [`postpone`] keeps those that are early;
//!   [`hold`] finds out whether an operator holds the secret.
//! - [`route`] finds the policy and its grant, and makes the [`event_context`].
//! - [`discover`] finds the apps that use the secret.
//! - [`rotate`] fans out over the apps. The [`app_queue`] of an app coalesces its rotations.
//! - [`batch`] decides, applies and verifies the rotations of one app.
//! - [`leave`] leaves to the reconcile timer what the run could not do for a passing reason.
//! - [`record`] writes the run into the history.
//!
//! Each step takes the [services](crate::services::Services) and the result of the step before. Only
//! `run` calls the steps, except that `rotate` starts the batches.

pub(crate) mod admit;
pub(crate) mod app_queue;
mod arrivals;
pub(crate) mod batch;
mod changes;
pub(crate) mod discover;
pub(crate) mod discovery_cache;
pub(crate) mod event_context;
pub(crate) mod events;
pub(crate) mod handled_apps;
pub(crate) mod hold;
pub(crate) mod leave;
pub(crate) mod postpone;
pub(crate) mod recent_changes;
mod record;
pub(crate) mod role_propagation;
pub(crate) mod rotate;
pub(crate) mod rotation;
pub(crate) mod route;
pub(crate) mod run;
pub(crate) mod time_budget;
pub(crate) mod trigger;
