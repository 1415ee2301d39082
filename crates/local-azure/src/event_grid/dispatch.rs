//! From a published event to the event subscriptions that want it.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::EventSubscription;
use super::delivery::{Deliveries, QueuedEvent};
use crate::PublishedEvent;

/// What the dispatcher is told between events.
#[derive(Debug)]
pub(super) enum Order {
    Subscribe {
        subscription: Box<EventSubscription>,
        done: oneshot::Sender<()>,
    },
    /// To answer when all events published before have been queued.
    TakeAll { done: oneshot::Sender<()> },
}

/// Hands events to event subscriptions.
pub(super) struct Dispatcher {
    deliveries: Arc<Deliveries>,
    lines: Vec<Line>,
}

/// An event subscription and the queue of its events.
struct Line {
    subscription: Arc<EventSubscription>,
    queue: mpsc::UnboundedSender<QueuedEvent>,
}

impl Dispatcher {
    pub(super) fn new(deliveries: Arc<Deliveries>) -> Self {
        Self {
            deliveries,
            lines: Vec::new(),
        }
    }

    /// Goes on until nobody can give orders any more.
    pub(super) async fn dispatch(
        mut self,
        mut events: mpsc::UnboundedReceiver<PublishedEvent>,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) {
        loop {
            tokio::select! {
                // Events first: `Order::TakeAll` depends on it.
                biased;
                Some(event) = events.recv() => self.queue(event),
                order = orders.recv() => match order {
                    Some(Order::Subscribe { subscription, done }) => {
                        self.subscribe(*subscription);
                        // Fails if nobody waits.
                        let _ = done.send(());
                    }
                    Some(Order::TakeAll { done }) => {
                        let _ = done.send(());
                    }
                    None => return,
                },
            }
        }
    }

    fn subscribe(&mut self, subscription: EventSubscription) {
        let subscription = Arc::new(subscription);
        let (queue, waiting) = mpsc::unbounded_channel();
        self.deliveries
            .spawn(Arc::clone(&self.deliveries).deliver_all(Arc::clone(&subscription), waiting));
        self.lines.retain(|line| {
            !line
                .subscription
                .name
                .eq_ignore_ascii_case(&subscription.name)
        });
        self.lines.push(Line {
            subscription,
            queue,
        });
    }

    fn queue(&self, published: PublishedEvent) {
        for line in self
            .lines
            .iter()
            .filter(|line| line.subscription.wants(&published))
        {
            self.deliveries.count_one_more();
            // The other end lives as long as this line does.
            let _ = line
                .queue
                .send(QueuedEvent::new(&published.event, line.subscription.schema));
        }
    }
}
