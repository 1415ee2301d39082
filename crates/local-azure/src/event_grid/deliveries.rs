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

use super::batch::{DeliveryBatch, QueuedEvent};
use super::dead_letter::DeadLetters;
use super::delivery::{Delivery, Misbehaviour};
use super::error::ValidationError;
use super::retry::{self, DeliveryOutcome, Next};
use super::schema;
use super::subscription::EventSubscription;
use super::validation;
use crate::clock::Clock;
use crate::journal::Journal;

/// The number of attempts that are kept in memory.
const KEPT: usize = 10_000;

/// The state that all deliveries share.
#[derive(Debug)]
pub(super) struct Deliveries {
    client: reqwest::Client,
    clock: Clock,
    attempt_timeout: Duration,
    stop: CancellationToken,
    misbehaviour: Mutex<Misbehaviour>,
    attempts: Journal<Delivery>,
    dead_letters: DeadLetters,
    /// The number of events that are neither delivered nor dead-lettered, counted once per event
    /// subscription.
    outstanding: watch::Sender<usize>,
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
            stop,
            misbehaviour: Mutex::default(),
            attempts: Journal::new(KEPT),
            dead_letters: DeadLetters::new(dead_letter_folder),
            outstanding: watch::Sender::new(0),
        }
    }

    /// Spawns a task that is cancelled when Event Grid is dropped.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move { stop.run_until_cancelled_owned(task).await });
    }

    pub(super) fn attempts(&self) -> Vec<Delivery> {
        self.attempts.snapshot()
    }

    pub(super) fn dead_letters(&self) -> Vec<PathBuf> {
        self.dead_letters.files()
    }

    /// Runs the validation handshake with the endpoint of an event subscription.
    pub(super) async fn validate(
        &self,
        subscription: &EventSubscription,
    ) -> Result<(), ValidationError> {
        validation::validate(&self.client, self.attempt_timeout, subscription).await
    }

    pub(super) fn misbehave(&self, misbehaviour: Misbehaviour) {
        *self
            .misbehaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = misbehaviour;
    }

    pub(super) fn count_event(&self) {
        self.outstanding
            .send_modify(|outstanding| *outstanding += 1);
    }

    pub(super) async fn wait_until_idle(&self) {
        // Fails only without a sender, and `self` holds one.
        let _ = self
            .outstanding
            .subscribe()
            .wait_for(|outstanding| *outstanding == 0)
            .await;
    }

    /// Delivers the events of one event subscription until the subscription is replaced.
    pub(super) async fn deliver_all(
        self: Arc<Self>,
        subscription: Arc<EventSubscription>,
        mut queue: mpsc::UnboundedReceiver<QueuedEvent>,
    ) {
        while let Some(first) = queue.recv().await {
            let misbehaviour = *self
                .misbehaviour
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            tokio::time::sleep(misbehaviour.delay).await;
            let mut events = vec![first];
            while let Ok(event) = queue.try_recv() {
                events.push(event);
            }
            if misbehaviour.reverse {
                events.reverse();
            }
            for events in events.chunks(subscription.max_events_per_batch) {
                let batch = DeliveryBatch {
                    subscription: Arc::clone(&subscription),
                    events: events.to_vec(),
                };
                self.deliver(batch, misbehaviour).await;
            }
        }
    }

    /// Starts the delivery of a batch.
    async fn deliver(self: &Arc<Self>, batch: DeliveryBatch, misbehaviour: Misbehaviour) {
        if misbehaviour.twice {
            self.outstanding
                .send_modify(|outstanding| *outstanding += batch.events.len());
            self.spawn(Arc::clone(self).deliver_with_retries(batch.clone(), None));
        }
        // Order is kept only by waiting for the response to each batch.
        let first = if misbehaviour.reverse {
            Some(self.attempt(&batch, 1).await)
        } else {
            None
        };
        self.spawn(Arc::clone(self).deliver_with_retries(batch, first));
    }

    /// Retries until the batch is delivered or dead-lettered. `first` is the first attempt, if the
    /// caller has made it.
    async fn deliver_with_retries(self: Arc<Self>, batch: DeliveryBatch, first: Option<Delivery>) {
        let mut last = match first {
            Some(first) => first,
            None => self.attempt(&batch, 1).await,
        };
        // The age in Azure's time: attempts take real time, and only the pauses are shortened.
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
                    self.dead_letters.give_up(&batch, &last, reason).await;
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

    /// Makes and records one attempt.
    async fn attempt(&self, batch: &DeliveryBatch, attempt: u32) -> Delivery {
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

    fn request(&self, batch: &DeliveryBatch, attempt: u32) -> reqwest::RequestBuilder {
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
        // Event Grid's own schema is always an array. CloudEvents uses an array only for a batch.
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
