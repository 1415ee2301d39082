//! Leases: exclusive rights that expire.
//!
//! A lease is an object with the name of its holder and the time of its expiry. A conditional write
//! acquires it, so this works alike in a container and in a folder. The fencing is the conditional
//! write too: a former holder cannot renew or release a lease that another instance has acquired.
//!
//! No agreement of clocks is needed: an instance takes a lease over when its object has not changed for
//! the lease's duration by the instance's own monotonic clock. A holder counts from before its last
//! write, and relies on three quarters of the duration only.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::{ObjectVersion, Store};

/// A held lease and its document.
///
/// Dropping it does not release it: it stays held until it expires. [`release`](Self::release)
/// releases it.
pub struct Lease<T> {
    /// The document. It is written when the lease is renewed or released.
    pub document: T,
    store: Store,
    key: String,
    holder: LeaseHolder,
    duration: Duration,
    version: ObjectVersion,
    /// The time until which the holder may rely on it.
    until: Instant,
    /// Whether [`release`](Lease::release) leaves it to expire.
    expires: bool,
}

/// The outcome of an attempt to acquire a lease.
#[derive(Debug)]
pub enum Acquired<T> {
    /// The lease was acquired.
    Held(Box<Lease<T>>),
    /// Another holder has it.
    Busy {
        /// The name of the holder.
        holder: String,
        /// The time until this instance may take it over, unless the holder renews it.
        remaining: Duration,
    },
}

/// An error from renewing or releasing a lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The lease expired, and another holder has acquired it.
    #[error("the lease is lost: it expired, and {by} has acquired it")]
    Lost {
        /// The current holder, or the last one.
        by: String,
    },
    /// The store operation failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The object in the store that represents a lease.
#[derive(Serialize, Deserialize)]
struct LeaseObject<T> {
    lease: Option<LeaseHolder>,
    /// The id of the holder that released it last.
    #[serde(default)]
    released: Option<Uuid>,
    #[serde(flatten)]
    document: T,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LeaseHolder {
    /// A name for logs and messages.
    name: String,
    /// A unique id of this acquisition. One holder may acquire a lease several times.
    id: Uuid,
    /// The time of its expiry by the holder's clock: for operators, and for earlier versions of
    /// keyrelay. Nothing here depends on it.
    until: Timestamp,
    /// The time without a change after which it has expired. Earlier versions did not write it.
    #[serde(default)]
    duration_ms: Option<u64>,
}

/// The duration of the longest lease. A longer one would block all others, and was not written by
/// keyrelay.
const LONGEST: Duration = Duration::from_mins(5);

/// The number of attempts at a write that meets our own late one.
const ATTEMPTS: u32 = 3;

impl<T: Serialize + DeserializeOwned + Default> Lease<T> {
    /// Makes one attempt to acquire the lease at `key`.
    ///
    /// It succeeds if the lease is free, or if this process has seen it unchanged for its duration.
    /// `duration` is the time until the lease expires if it is not renewed. The
    /// deadline of `store` applies to this attempt only; see [`set_deadline`](Self::set_deadline).
    pub async fn acquire(
        store: &Store,
        key: &str,
        name: &str,
        duration: Duration,
    ) -> Result<Acquired<T>, StoreError> {
        let started = Instant::now();
        let found = store.read_json::<LeaseObject<T>>(key).await?;
        let (document, version) = match found {
            None => (T::default(), None),
            Some((
                LeaseObject {
                    lease, document, ..
                },
                version,
            )) => {
                if let Some(holder) = lease {
                    let unchanged = store.watched().unchanged(key, &version);
                    let remaining = holder.expires_after(duration).saturating_sub(unchanged);
                    if !remaining.is_zero() {
                        return Ok(Acquired::Busy {
                            holder: holder.name,
                            remaining,
                        });
                    }
                }
                (document, Some(version))
            }
        };
        let holder = LeaseHolder::new(name, duration);
        let leased = LeaseObject {
            lease: Some(holder.clone()),
            released: None,
            document,
        };
        let written = match &version {
            Some(version) => store.replace(key, &leased, version).await,
            None => store.create(key, &leased).await,
        };
        let version = match written {
            Ok(version) => version,
            Err(error) if error.is_conflict() => {
                match after_conflict(store, key, holder.id, duration).await? {
                    ControlFlow::Continue(version) => version,
                    ControlFlow::Break(busy) => return Ok(busy),
                }
            }
            Err(error) => return Err(error),
        };
        store.watched().forget(key);
        Ok(Acquired::Held(Box::new(Self {
            document: leased.document,
            store: store.with_deadline(None),
            key: key.to_owned(),
            holder,
            duration,
            version,
            until: started + reliable(duration),
            expires: false,
        })))
    }

    /// The time for which the holder may still rely on the lease. Zero if another holder may have
    /// acquired it.
    pub fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Sets the deadline of the next [`renew`](Self::renew) and [`release`](Self::release). By
    /// default there is none: each takes up to two store operations.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.store = self.store.with_deadline(deadline);
    }

    /// Renews the lease for its full duration, and writes the document. Success means that no other
    /// instance has acquired it.
    pub async fn renew(&mut self) -> Result<(), LeaseError> {
        let started = Instant::now();
        let holder = LeaseHolder {
            until: end(self.duration),
            ..self.holder.clone()
        };
        self.write(Some(holder)).await?;
        self.until = started + reliable(self.duration);
        Ok(())
    }

    /// Makes [`release`](Self::release) leave the lease to expire, because a request that was sent
    /// under it may still take effect: the next holder must not act before that.
    pub fn leave_to_expire(&mut self) {
        self.expires = true;
    }

    /// Releases the lease, and writes the document. After [`leave_to_expire`](Self::leave_to_expire)
    /// the lease stays held for its duration from now.
    pub async fn release(mut self) -> Result<(), LeaseError> {
        match self.expires {
            true => self.renew().await,
            false => self.write(None).await,
        }
    }

    async fn write(&mut self, holder: Option<LeaseHolder>) -> Result<(), LeaseError> {
        let own = self.holder.id;
        let released = holder.is_none().then_some(own);
        for _ in 0..ATTEMPTS {
            let leased = LeaseObject {
                lease: holder.clone(),
                released,
                document: &self.document,
            };
            let error = match self.store.replace(&self.key, &leased, &self.version).await {
                Ok(version) => {
                    self.version = version;
                    return Ok(());
                }
                Err(error) if error.is_conflict() => error,
                Err(error) => return Err(error.into()),
            };
            // Only the holder writes a held lease, so the conflict may be with our own write whose
            // response was lost: the same one, or an earlier one that came late.
            match state(&self.store, &self.key).await? {
                Some((
                    LeaseObject {
                        lease: Some(holder),
                        ..
                    },
                    version,
                )) if holder.id == own => {
                    self.version = version;
                }
                Some((
                    LeaseObject {
                        lease: None,
                        released: Some(id),
                        ..
                    },
                    _,
                )) if id == own && released.is_some() => {
                    return Ok(());
                }
                Some((
                    LeaseObject {
                        lease: Some(holder),
                        ..
                    },
                    _,
                )) => {
                    return Err(LeaseError::Lost { by: holder.name });
                }
                _ => {
                    let by = "no other instance".to_owned();
                    return Err(LeaseError::Lost { by });
                }
            }
            tracing::debug!("a write of a lease is repeated: {error}");
        }
        Err(LeaseError::Store(StoreError::Conflict {
            key: self.key.clone(),
        }))
    }
}

impl LeaseHolder {
    fn new(name: &str, duration: Duration) -> Self {
        Self {
            name: name.to_owned(),
            id: Uuid::new_v4(),
            until: end(duration),
            duration_ms: u64::try_from(duration.as_millis()).ok(),
        }
    }

    /// The time without a change after which the lease has expired. Instances of earlier versions
    /// are configured as this one, with `default`.
    fn expires_after(&self, default: Duration) -> Duration {
        self.duration_ms
            .map_or(default, Duration::from_millis)
            .min(LONGEST)
    }
}

/// Resolves the conflict of a write that acquires a lease. Continues with the version of our own
/// write if its response was lost and the retry found its result; otherwise another holder was
/// first.
async fn after_conflict<T>(
    store: &Store,
    key: &str,
    own: Uuid,
    duration: Duration,
) -> Result<ControlFlow<Acquired<T>, ObjectVersion>, StoreError> {
    let holder = match state(store, key).await? {
        Some((LeaseObject { lease, .. }, version)) => {
            if lease.as_ref().is_some_and(|holder| holder.id == own) {
                return Ok(ControlFlow::Continue(version));
            }
            lease
        }
        None => None,
    };
    Ok(ControlFlow::Break(match holder {
        Some(holder) => Acquired::Busy {
            remaining: holder.expires_after(duration),
            holder: holder.name,
        },
        None => Acquired::Busy {
            holder: "another instance".to_owned(),
            remaining: Duration::ZERO,
        },
    }))
}

/// Reads the current state of the lease, without its document.
async fn state(
    store: &Store,
    key: &str,
) -> Result<Option<(LeaseObject<IgnoredAny>, ObjectVersion)>, StoreError> {
    store.read_json(key).await
}

fn end(duration: Duration) -> Timestamp {
    Timestamp::now()
        .checked_add(duration)
        .unwrap_or(Timestamp::MAX)
}

fn reliable(duration: Duration) -> Duration {
    duration * 3 / 4
}

impl<T> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("key", &self.key)
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}
