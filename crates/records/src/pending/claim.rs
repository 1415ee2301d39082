//! Claims: one instance at a time handles a pending object.

use std::time::Duration;

use jiff::Timestamp;
use keyrelay_store::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Pending, PendingEntry};

/// A pending object that one instance handles at a time.
pub trait Claimable {
    /// The time until which an instance handles it, and no other one begins.
    fn claimed_until(&mut self) -> &mut Option<Timestamp>;
}

impl Pending {
    /// Claims an object for a time, with a conditional write. None: it is removed already, or
    /// another instance has claimed it.
    ///
    /// If the clocks of two instances disagree, both may claim it one after the other; then the
    /// conditional writes of the first one fail from there on.
    pub async fn claim<T>(
        &self,
        key: &str,
        duration: Duration,
    ) -> Result<Option<PendingEntry<T>>, StoreError>
    where
        T: Serialize + DeserializeOwned + Claimable,
    {
        let Some(mut entry) = self.read::<T>(key).await? else {
            return Ok(None);
        };
        let now = self.0.now();
        let claimed_until = entry.value.claimed_until();
        if claimed_until.is_some_and(|until| until > now) {
            return Ok(None);
        }
        *claimed_until = now.checked_add(duration).ok();
        let is_claimed = self.replace(&mut entry).await?;
        Ok(is_claimed.then_some(entry))
    }
}
