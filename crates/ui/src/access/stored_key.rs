//! The key of the forms in the store: `ui/form-key.json`. All instances of a function app have the same, so that a form
//! that one has made can be sent to another.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use keyrelay_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::CsrfKey;

/// The format of the object.
const FORMAT: u32 = 1;

const KEY: &str = "ui/form-key.json";

/// The number of bytes of the key.
const LENGTH: usize = 32;

/// The reason why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The store failed, or the object cannot be read.
    #[error("the key of the forms, {KEY} in the store, cannot be read or made")]
    Store(#[from] StoreError),
    /// The object has no key.
    #[error(
        "{KEY} in the store has no key of {LENGTH} bytes in base64: delete it, and a new one is made"
    )]
    NoKey,
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    NoRandomNumbers,
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    format: u32,
    key: String,
}

impl CsrfKey {
    /// The key in a store. The first one who asks makes it.
    pub async fn of_store(store: &Store) -> Result<Self, KeyError> {
        loop {
            if let Some((known, _)) = store.read_json::<StoredKey>(KEY).await? {
                let decoded = BASE64_STANDARD.decode(&known.key).ok();
                let whole = decoded.filter(|bytes| bytes.len() == LENGTH);
                return whole.map(|it| Self::from_bytes(&it)).ok_or(KeyError::NoKey);
            }
            let mut bytes = [0; LENGTH];
            let filled = SystemRandom::new().fill(&mut bytes);
            filled.map_err(|_| KeyError::NoRandomNumbers)?;
            let new = StoredKey {
                format: FORMAT,
                key: BASE64_STANDARD.encode(bytes),
            };
            match store.create(KEY, &new).await {
                // Another instance has made one.
                Err(error) if error.is_conflict() => {}
                created => return Ok(created.map(|_| Self::from_bytes(&bytes))?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_instances_have_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path()).unwrap();
        let (one, other) = tokio::join!(CsrfKey::of_store(&store), CsrfKey::of_store(&store));
        let token = one.unwrap().token("session");
        assert!(other.unwrap().is_token("session", &token));
        std::fs::write(folder.path().join(KEY), "{\"format\":1,\"key\":\"AA==\"}").unwrap();
        let error = CsrfKey::of_store(&store).await.unwrap_err();
        assert!(error.to_string().contains("delete it"), "{error}");
    }
}
