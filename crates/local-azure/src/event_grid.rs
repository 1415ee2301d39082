//! A stand-in for Azure Event Grid: system topics of vaults, event subscriptions, delivery,
//! retries, dead letters.
//!
//! The clock may run faster than Azure's. All other rules are those of Event Grid's documentation
//! (`articles/event-grid/delivery-and-retry.md` in MicrosoftDocs/azure-docs).

mod batch;
mod dead_letter;
mod deliveries;
mod delivery;
mod dispatch;
mod error;
mod retry;
mod schema;
mod subscription;
mod validation;

pub use delivery::{Delivery, Misbehaviour};
pub use error::{EventGridError, SubscribeError, ValidationError};
pub use retry::DeliveryOutcome;
pub use schema::DeliverySchema;
pub use subscription::EventSubscription;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::Clock;
use crate::published_event::PublishedEvent;
use deliveries::Deliveries;
use dispatch::{DispatchCommand, Dispatcher};

/// The options of Event Grid.
#[derive(Debug, Clone)]
pub struct EventGridOptions {
    /// The factor by which pauses between attempts are shortened. With 100 the first retry comes
    /// after 0.1 s instead of 10 s.
    pub clock: f64,
    /// The timeout of an attempt, in real time. `None` is Event Grid's 30 s, shortened by the
    /// clock.
    pub attempt_timeout: Option<Duration>,
    /// The folder for dead letters. Without one, undeliverable events are dropped.
    pub dead_letter: Option<PathBuf>,
}

impl Default for EventGridOptions {
    fn default() -> Self {
        Self {
            clock: 1.0,
            attempt_timeout: None,
            dead_letter: None,
        }
    }
}

/// A running Event Grid. Dropping it stops all deliveries.
#[derive(Debug)]
pub struct EventGrid {
    deliveries: Arc<Deliveries>,
    commands: mpsc::UnboundedSender<DispatchCommand>,
    _stop_on_drop: DropGuard,
}

impl EventGrid {
    /// Starts to take events from the channel. Events without a matching event subscription are
    /// dropped.
    pub fn start(
        options: EventGridOptions,
        events: mpsc::UnboundedReceiver<PublishedEvent>,
    ) -> Result<Self, EventGridError> {
        // Each attempt has a timeout of its own. Event Grid follows no redirects.
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let clock = Clock::new(options.clock);
        let stop = CancellationToken::new();
        let deliveries = Arc::new(Deliveries::new(
            client.map_err(EventGridError)?,
            clock,
            options
                .attempt_timeout
                .unwrap_or_else(|| clock.shorten(retry::ATTEMPT_TIMEOUT)),
            options.dead_letter,
            stop.clone(),
        ));
        let (commands, receiver) = mpsc::unbounded_channel();
        let dispatcher = Dispatcher::new(Arc::clone(&deliveries));
        deliveries.spawn(dispatcher.dispatch(events, receiver));
        Ok(Self {
            deliveries,
            commands,
            _stop_on_drop: stop.drop_guard(),
        })
    }

    /// Creates or replaces an event subscription, after the validation of its endpoint.
    pub async fn subscribe(&self, subscription: EventSubscription) -> Result<(), SubscribeError> {
        subscription.check()?;
        let name = subscription.name.clone();
        self.deliveries
            .validate(&subscription)
            .await
            .map_err(|source| SubscribeError::Validation {
                subscription: name,
                source,
            })?;
        let (done, is_done) = tokio::sync::oneshot::channel();
        self.send(DispatchCommand::Subscribe {
            subscription: Box::new(subscription),
            done,
        });
        // Fails only if the dispatcher has stopped, which happens on drop.
        let _ = is_done.await;
        Ok(())
    }

    /// Disturbs deliveries from the next event on.
    pub fn misbehave(&self, misbehaviour: Misbehaviour) {
        self.deliveries.misbehave(misbehaviour);
    }

    /// The last 10,000 completed attempts, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.attempts()
    }

    /// The last 10,000 files of dead letters, oldest first.
    pub fn dead_letters(&self) -> Vec<PathBuf> {
        self.deliveries.dead_letters()
    }

    /// Waits until every event published earlier is delivered, dead-lettered or dropped.
    pub async fn settled(&self) {
        let (done, is_done) = tokio::sync::oneshot::channel();
        // The dispatcher takes all events before a command, so they are all counted by then.
        self.send(DispatchCommand::Flush { done });
        let _ = is_done.await;
        self.deliveries.wait_until_idle().await;
    }

    fn send(&self, command: DispatchCommand) {
        // Fails only if the dispatcher has stopped, which happens on drop.
        let _ = self.commands.send(command);
    }
}
