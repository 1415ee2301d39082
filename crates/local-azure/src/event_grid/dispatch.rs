//! The dispatch of published events to the event subscriptions whose filters match.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::batch::QueuedEvent;
use super::deliveries::Deliveries;
use super::subscription::EventSubscription;
use crate::published_event::PublishedEvent;

/// A command to the dispatcher.
#[derive(Debug)]
pub(super) enum DispatchCommand {
    Subscribe {
        subscription: Box<EventSubscription>,
        done: oneshot::Sender<()>,
    },
    /// Signals `done` once every event published earlier is queued.
    Flush { done: oneshot::Sender<()> },
}

/// Queues events for event subscriptions.
pub(super) struct Dispatcher {
    deliveries: Arc<Deliveries>,
    queues: Vec<SubscriptionQueue>,
}

/// An event subscription and the queue of its events.
struct SubscriptionQueue {
    subscription: Arc<EventSubscription>,
    queue: mpsc::UnboundedSender<QueuedEvent>,
}

impl Dispatcher {
    pub(super) fn new(deliveries: Arc<Deliveries>) -> Self {
        Self {
            deliveries,
            queues: Vec::new(),
        }
    }

    /// Runs until the command channel is closed.
    pub(super) async fn dispatch(
        mut self,
        mut events: mpsc::UnboundedReceiver<PublishedEvent>,
        mut commands: mpsc::UnboundedReceiver<DispatchCommand>,
    ) {
        loop {
            tokio::select! {
                // Events come first: `DispatchCommand::Flush` relies on it.
                biased;
                Some(event) = events.recv() => self.queue(event),
                command = commands.recv() => match command {
                    Some(DispatchCommand::Subscribe { subscription, done }) => {
                        self.subscribe(*subscription);
                        // Fails if the caller has stopped waiting.
                        let _ = done.send(());
                    }
                    Some(DispatchCommand::Flush { done }) => {
                        let _ = done.send(());
                    }
                    None => return,
                },
            }
        }
    }

    fn subscribe(&mut self, subscription: EventSubscription) {
        let subscription = Arc::new(subscription);
        let (queue, receiver) = mpsc::unbounded_channel();
        self.deliveries
            .spawn(Arc::clone(&self.deliveries).deliver_all(Arc::clone(&subscription), receiver));
        self.queues.retain(|queue| {
            !queue
                .subscription
                .name
                .eq_ignore_ascii_case(&subscription.name)
        });
        self.queues.push(SubscriptionQueue {
            subscription,
            queue,
        });
    }

    fn queue(&self, published: PublishedEvent) {
        let matching = self
            .queues
            .iter()
            .filter(|queue| queue.subscription.wants(&published));
        for SubscriptionQueue {
            subscription,
            queue,
        } in matching
        {
            self.deliveries.count_event();
            // The receiver lives as long as this queue.
            let _ = queue.send(QueuedEvent::new(&published.event, subscription.schema));
        }
    }
}
