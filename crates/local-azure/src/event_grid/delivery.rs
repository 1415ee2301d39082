//! The delivery of events to the endpoint of an event subscription: batches, attempts, retries.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::retry::{self, DeliveryOutcome, Next};
use super::{DeliverySchema, EventSubscription, schema};
use crate::journal::Journal;

/// Attempts, and dead letters, that are kept in memory.
const KEPT: usize = 10_000;

/// One attempt to deliver a batch.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The event subscription's name.
    pub subscription: String,
    /// The ids of the events of the batch.
    pub event_ids: Vec<String>,
    /// Counted from 1. The header `aeg-delivery-count` counts from 0.
    pub attempt: u32,
    /// How it ended.
    pub outcome: DeliveryOutcome,
    /// When it began.
    pub time: Timestamp,
    /// How long it took.
    pub duration: Duration,
}

/// What Event Grid is allowed to do, and does on demand here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Misbehaviour {
    /// Every batch is delivered twice, at the same time.
    pub twice: bool,
    /// Of events that wait together, the last is delivered first, and each only when the one before was answered.
    pub reverse: bool,
    /// Events are held back so long, in real time. Those that come meanwhile wait together.
    pub delay: Duration,
}

/// An event in the queue of an event subscription.
#[derive(Debug, Clone)]
pub(super) struct QueuedEvent {
    /// In the schema of the event subscription.
    pub(super) event: Value,
    pub(super) published: Timestamp,
}

/// Events that are delivered, tried again and given up together.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    subscription: Arc<EventSubscription>,
    pub(super) events: Vec<QueuedEvent>,
}

/// What all deliveries share.
#[derive(Debug)]
pub(super) struct Deliveries {
    pub(super) client: reqwest::Client,
    clock: Clock,
    pub(super) attempt_timeout: Duration,
    pub(super) dead_letter_folder: Option<PathBuf>,
    stop: CancellationToken,
    misbehaviour: Mutex<Misbehaviour>,
    attempts: Journal<Delivery>,
    pub(super) dead_letters: Journal<PathBuf>,
    /// Events that are neither delivered nor given up, once for each event subscription that wants them.
    outstanding: watch::Sender<usize>,
}

impl QueuedEvent {
    pub(super) fn new(event: &Value, schema: DeliverySchema) -> Self {
        Self {
            event: schema::convert(event, schema),
            published: Timestamp::now(),
        }
    }
}

impl Batch {
    fn event_ids(&self) -> Vec<String> {
        self.events
            .iter()
            .map(|queued| schema::id(&queued.event).to_owned())
            .collect()
    }
}

impl Deliveries {
    pub(super) fn new(
        client: reqwest::Client,
        clock: Clock,
        attempt_timeout: Duration,
        dead_letter_folder: Option<PathBuf>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            client,
            clock,
            attempt_timeout,
            dead_letter_folder,
            stop,
            misbehaviour: Mutex::default(),
            attempts: Journal::new(KEPT),
            dead_letters: Journal::new(KEPT),
            outstanding: watch::Sender::new(0),
        }
    }

    /// Runs a task that ends when Event Grid is dropped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move { stop.run_until_cancelled_owned(task).await });
    }

    pub(super) fn attempts(&self) -> Vec<Delivery> {
        self.attempts.snapshot()
    }

    pub(super) fn dead_letters(&self) -> Vec<PathBuf> {
        self.dead_letters.snapshot()
    }

    pub(super) fn misbehave(&self, misbehaviour: Misbehaviour) {
        *self
            .misbehaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = misbehaviour;
    }

    pub(super) fn count_one_more(&self) {
        self.outstanding
            .send_modify(|outstanding| *outstanding += 1);
    }

    pub(super) async fn none_outstanding(&self) {
        // Fails only if the sender is gone, which is in `self`.
        let _ = self
            .outstanding
            .subscribe()
            .wait_for(|outstanding| *outstanding == 0)
            .await;
    }

    /// Takes the events of one event subscription as they come, until it is replaced.
    pub(super) async fn deliver_all(
        self: Arc<Self>,
        subscription: Arc<EventSubscription>,
        mut waiting: mpsc::UnboundedReceiver<QueuedEvent>,
    ) {
        while let Some(first) = waiting.recv().await {
            let misbehaviour = *self
                .misbehaviour
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            tokio::time::sleep(misbehaviour.delay).await;
            let mut events = vec![first];
            while let Ok(event) = waiting.try_recv() {
                events.push(event);
            }
            if misbehaviour.reverse {
                events.reverse();
            }
            for events in events.chunks(subscription.max_events_per_batch) {
                let batch = Batch {
                    subscription: Arc::clone(&subscription),
                    events: events.to_vec(),
                };
                self.deliver(batch, misbehaviour).await;
            }
        }
    }

    /// Begins the delivery of a batch.
    async fn deliver(self: &Arc<Self>, batch: Batch, misbehaviour: Misbehaviour) {
        if misbehaviour.twice {
            self.outstanding
                .send_modify(|outstanding| *outstanding += batch.events.len());
            self.spawn(Arc::clone(self).deliver_at_last(batch.clone(), None));
        }
        // Only what is waited for keeps its order.
        let first = if misbehaviour.reverse {
            Some(self.attempt(&batch, 1).await)
        } else {
            None
        };
        self.spawn(Arc::clone(self).deliver_at_last(batch, first));
    }

    /// Tries until the batch is delivered or given up. `first` is the first attempt, if it was made already.
    async fn deliver_at_last(self: Arc<Self>, batch: Batch, first: Option<Delivery>) {
        let mut last = match first {
            Some(first) => first,
            None => self.attempt(&batch, 1).await,
        };
        // As Azure counts it: the attempts take their time, the pauses are shortened.
        let mut age = Duration::ZERO;
        loop {
            age = age.saturating_add(last.duration);
            match retry::next(
                last.outcome,
                last.attempt,
                age,
                batch.subscription.max_delivery_attempts,
            ) {
                Next::Delivered => break,
                Next::GiveUp(reason) => {
                    self.give_up(&batch, &last, reason).await;
                    break;
                }
                Next::RetryAfter(pause) => {
                    tokio::time::sleep(self.clock.shorten(pause)).await;
                    age = age.saturating_add(pause);
                }
            }
            last = self.attempt(&batch, last.attempt + 1).await;
        }
        self.outstanding
            .send_modify(|outstanding| *outstanding -= batch.events.len());
    }

    /// Makes one attempt and records it.
    async fn attempt(&self, batch: &Batch, attempt: u32) -> Delivery {
        let (time, started) = (Timestamp::now(), Instant::now());
        let request = self.request(batch, attempt);
        let outcome = match tokio::time::timeout(self.attempt_timeout, request.send()).await {
            Ok(Ok(response)) => DeliveryOutcome::Status(response.status().as_u16()),
            Ok(Err(_)) => DeliveryOutcome::Unreachable,
            Err(_) => DeliveryOutcome::TimedOut,
        };
        let delivery = Delivery {
            subscription: batch.subscription.name.clone(),
            event_ids: batch.event_ids(),
            attempt,
            outcome,
            time,
            duration: started.elapsed(),
        };
        for queued in &batch.events {
            tracing::debug!(
                subscription = %delivery.subscription,
                event.id = schema::id(&queued.event),
                event.r#type = schema::event_type(&queued.event),
                event.subject = schema::subject(&queued.event),
                attempt = delivery.attempt,
                %outcome,
                "an event was sent"
            );
        }
        self.attempts.push(delivery.clone());
        delivery
    }

    fn request(&self, batch: &Batch, attempt: u32) -> reqwest::RequestBuilder {
        let subscription = &batch.subscription;
        let first = batch
            .events
            .first()
            .map(|queued| &queued.event)
            .unwrap_or(&Value::Null);
        let request = self
            .client
            .post(subscription.endpoint.clone())
            .header(header::ACCEPT_ENCODING, "gzip")
            .header(header::CONNECTION, "Keep-Alive")
            .header(header::MAX_FORWARDS, "10")
            .header("aeg-subscription-name", subscription.name.to_uppercase())
            .header("aeg-delivery-count", attempt - 1)
            .header("aeg-event-type", "Notification");
        let events = || {
            batch
                .events
                .iter()
                .map(|queued| queued.event.clone())
                .collect::<Value>()
                .to_string()
        };
        // Event Grid's own schema is always an array; in CloudEvents only a batch is one.
        if !schema::is_cloud_event(first) {
            return request
                .header("aeg-data-version", schema::text(first, "dataVersion"))
                .header(
                    "aeg-metadata-version",
                    schema::text(first, "metadataVersion"),
                )
                .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
                .body(events());
        }
        if subscription.max_events_per_batch == 1 {
            let one = "application/cloudevents+json; charset=utf-8";
            return request
                .header(header::CONTENT_TYPE, one)
                .body(first.to_string());
        }
        request
            .header(
                header::CONTENT_TYPE,
                "application/cloudevents-batch+json; charset=utf-8",
            )
            .body(events())
    }
}
