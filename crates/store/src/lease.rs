//! The right to be the only one, for a while.
//!
//! A lease is an object with the holder's name and the end of its time; whoever replaces the object under the condition that it
//! is unchanged has the lease. That works the same in a container and in a folder. The end is told by the clocks of the
//! instances, which Azure keeps together to well under a second: a holder counts on three quarters of the time only,
//! so a clock may be wrong by the last quarter.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::{ObjectVersion, Store};

/// A lease that is held, with the document that belongs to it.
///
/// Dropping it does not give it back: it ends when its time is over. [`release`](Self::release) gives it back.
pub struct Lease<T> {
    /// The document. It is written when the lease is renewed or released.
    pub document: T,
    store: Store,
    key: String,
    holder: Holder,
    duration: Duration,
    version: ObjectVersion,
    /// Until when the holder may count on it.
    until: Instant,
}

/// What came of asking for a lease.
#[derive(Debug)]
pub enum Acquired<T> {
    /// We have it.
    Held(Box<Lease<T>>),
    /// Somebody else has it.
    Busy {
        /// Who.
        holder: String,
        /// For how much longer, unless they renew it.
        remaining: Duration,
    },
}

/// Why a lease could not be renewed or given back.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Its time was over and somebody else has taken it.
    #[error("the lease is lost: its time was over, and {by} has it now")]
    Lost {
        /// Who has it, or had it last.
        by: String,
    },
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The object in the store.
#[derive(Serialize, Deserialize)]
struct Leased<T> {
    lease: Option<Holder>,
    /// Who gave it back last.
    #[serde(default)]
    released: Option<Uuid>,
    #[serde(flatten)]
    document: T,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    /// For people.
    name: String,
    /// One for every time that a lease is acquired: the same holder may ask twice.
    id: Uuid,
    /// When others may take it.
    until: Timestamp,
}

/// The longest lease, with what the clocks of two holders may be apart. An end further away is one that a wrong clock
/// wrote: to believe it would keep everybody out for as long.
const LONGEST: Duration = Duration::from_mins(5);

/// Whether a lease that ends then is somebody's now.
fn is_held(until: Timestamp, now: Timestamp) -> bool {
    until > now && left(until, now) <= LONGEST
}

impl<T: Serialize + DeserializeOwned + Default> Lease<T> {
    /// Asks once for the lease at `key`.
    ///
    /// It can be had if nobody holds it, or if the time of who did is over. `duration` is how long others leave it to us
    /// when we are never heard of again.
    pub async fn acquire(
        store: &Store,
        key: &str,
        name: &str,
        duration: Duration,
    ) -> Result<Acquired<T>, StoreError> {
        let asked = Instant::now();
        let now = Timestamp::now();
        let found = store.read_json::<Leased<T>>(key).await?;
        let (document, version) = match found {
            None => (T::default(), None),
            Some((
                Leased {
                    lease: Some(Holder { name, until, .. }),
                    ..
                },
                _,
            )) if is_held(until, now) => {
                return Ok(Acquired::Busy {
                    holder: name,
                    remaining: left(until, now),
                });
            }
            Some((Leased { document, .. }, version)) => (document, Some(version)),
        };
        let holder = Holder {
            name: name.to_owned(),
            id: Uuid::new_v4(),
            until: end(now, duration),
        };
        let leased = Leased {
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
            Err(error) if error.is_conflict() => match state(store, key).await? {
                // The answer to our own write was lost, and it was repeated.
                Some((
                    Leased {
                        lease: Some(now), ..
                    },
                    version,
                )) if now.id == holder.id => version,
                Some((
                    Leased {
                        lease: Some(Holder { name, until, .. }),
                        ..
                    },
                    _,
                )) => {
                    return Ok(Acquired::Busy {
                        holder: name,
                        remaining: left(until, now),
                    });
                }
                _ => {
                    return Ok(Acquired::Busy {
                        holder: "somebody".to_owned(),
                        remaining: Duration::ZERO,
                    });
                }
            },
            Err(error) => return Err(error),
        };
        Ok(Acquired::Held(Box::new(Self {
            document: leased.document,
            store: store.clone(),
            key: key.to_owned(),
            holder,
            duration,
            version,
            until: asked + counted_on(duration),
        })))
    }

    /// For how much longer the holder may count on the lease without asking. Zero: it may be somebody else's.
    pub fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Begins the time of the lease anew, and writes the document. Whoever has done so is the only one at that moment.
    pub async fn renew(&mut self) -> Result<(), LeaseError> {
        let asked = Instant::now();
        let holder = Holder {
            until: end(Timestamp::now(), self.duration),
            ..self.holder.clone()
        };
        self.write(Some(holder)).await?;
        self.until = asked + counted_on(self.duration);
        Ok(())
    }

    /// Gives the lease back, and writes the document.
    pub async fn release(mut self) -> Result<(), LeaseError> {
        self.write(None).await
    }

    async fn write(&mut self, holder: Option<Holder>) -> Result<(), LeaseError> {
        let own = self.holder.id;
        let released = holder.is_none().then_some(own);
        let leased = Leased {
            lease: holder,
            released,
            document: &self.document,
        };
        match self.store.replace(&self.key, &leased, &self.version).await {
            Ok(version) => {
                self.version = version;
                Ok(())
            }
            // Only the holder writes while the lease is its own: then it was our own write whose answer was lost.
            Err(error) if error.is_conflict() => match state(&self.store, &self.key).await? {
                Some((
                    Leased {
                        lease: Some(holder),
                        ..
                    },
                    version,
                )) if holder.id == own => {
                    self.version = version;
                    Ok(())
                }
                Some((
                    Leased {
                        lease: None,
                        released: Some(id),
                        ..
                    },
                    _,
                )) if id == own && released.is_some() => Ok(()),
                Some((
                    Leased {
                        lease: Some(holder),
                        ..
                    },
                    _,
                )) => Err(LeaseError::Lost { by: holder.name }),
                _ => Err(LeaseError::Lost {
                    by: "nobody".to_owned(),
                }),
            },
            Err(error) => Err(error.into()),
        }
    }
}

/// Who has the lease, by what the object says now. The document is left aside.
async fn state(
    store: &Store,
    key: &str,
) -> Result<Option<(Leased<IgnoredAny>, ObjectVersion)>, StoreError> {
    store.read_json(key).await
}

fn left(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default()
}

fn end(now: Timestamp, duration: Duration) -> Timestamp {
    now.checked_add(duration).unwrap_or(Timestamp::MAX)
}

fn counted_on(duration: Duration) -> Duration {
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
