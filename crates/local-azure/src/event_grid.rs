//! A stand-in for Azure Event Grid: system topics of vaults, event subscriptions, delivery, retries, dead letters.
//!
//! The clock may be faster than Azure's; apart from that the rules are those of Event Grid's documentation
//! (`articles/event-grid/delivery-and-retry.md` in MicrosoftDocs/azure-docs).

mod clock;
mod dead_letter;
mod delivery;
mod dispatch;
mod retry;
mod schema;
mod subscription;
mod validation;

pub use delivery::{Delivery, Misbehaviour};
pub use retry::DeliveryOutcome;
pub use subscription::{DeliverySchema, EventSubscription};
pub use validation::ValidationError;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::PublishedEvent;
use clock::Clock;
use delivery::Deliveries;
use dispatch::{Dispatcher, Order};

/// How Event Grid behaves.
#[derive(Debug, Clone)]
pub struct EventGridOptions {
    /// How many times faster than in Azure the time passes between attempts: with 100, the first retry comes after
    /// 0.1 s instead of 10 s.
    pub clock: f64,
    /// How long an attempt may take, in real time. `None` is Event Grid's 30 s, shortened by the clock.
    pub attempt_timeout: Option<Duration>,
    /// The folder for dead letters. Without one, events that cannot be delivered are dropped.
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

/// Why an event subscription was not created.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// A field holds what it may not.
    #[error("`{field}` of the event subscription `{subscription}` is not {expected}")]
    Field {
        /// The event subscription's name.
        subscription: String,
        /// The field.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// The endpoint did not prove that it wants the events.
    #[error("the endpoint of the event subscription `{subscription}` was not validated")]
    Validation {
        /// The event subscription's name.
        subscription: String,
        /// What went wrong.
        #[source]
        source: ValidationError,
    },
}

/// A running Event Grid. Nothing is delivered any more when this is dropped.
#[derive(Debug)]
pub struct EventGrid {
    deliveries: Arc<Deliveries>,
    orders: mpsc::UnboundedSender<Order>,
    _stop_on_drop: DropGuard,
}

/// The client cannot be made with which events are delivered.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the HTTP client that delivers events")]
pub struct EventGridError(#[source] reqwest::Error);

impl EventGrid {
    /// Takes events from the channel from now on. They are dropped as long as nobody has subscribed.
    pub fn start(
        options: EventGridOptions,
        events: mpsc::UnboundedReceiver<PublishedEvent>,
    ) -> Result<Self, EventGridError> {
        // No time limit here, each attempt has its own. Event Grid follows no redirects.
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
        let (orders, orders_receiver) = mpsc::unbounded_channel();
        let dispatcher = Dispatcher::new(Arc::clone(&deliveries));
        deliveries.spawn(dispatcher.dispatch(events, orders_receiver));
        Ok(Self {
            deliveries,
            orders,
            _stop_on_drop: stop.drop_guard(),
        })
    }

    /// Creates an event subscription, or replaces the one of the same name, after its endpoint was validated.
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
        self.order(Order::Subscribe {
            subscription: Box::new(subscription),
            done,
        });
        // Fails only if the dispatcher has stopped, which it does when this is dropped.
        let _ = is_done.await;
        Ok(())
    }

    /// Changes how deliveries go wrong, from the next event on.
    pub fn misbehave(&self, misbehaviour: Misbehaviour) {
        self.deliveries.misbehave(misbehaviour);
    }

    /// Every attempt that has ended, oldest first: the last 10,000.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.attempts()
    }

    /// The files of the dead letters, oldest first: the last 10,000.
    pub fn dead_letters(&self) -> Vec<PathBuf> {
        self.deliveries.dead_letters()
    }

    /// Waits until every event published before is delivered, dead-lettered or dropped.
    pub async fn settled(&self) {
        let (done, is_done) = tokio::sync::oneshot::channel();
        // The dispatcher takes all events before an order, so afterwards they are all counted.
        self.order(Order::TakeAll { done });
        let _ = is_done.await;
        self.deliveries.none_outstanding().await;
    }

    fn order(&self, order: Order) {
        // Fails only if the dispatcher has stopped, which it does when this is dropped.
        let _ = self.orders.send(order);
    }
}
