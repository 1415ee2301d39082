//! Opens the store that is configured.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use keyrelay_azure::{Cloud, Credential, Deadline, Http};
use keyrelay_store::{Store, TokenProvider};

use keyrelay_config::StoreLocation;

/// The deadline of a token request. An operation of the store has 8 seconds.
const TOKEN: Duration = Duration::from_secs(5);

/// Opens the configured store. Sends no request yet, so that success does not mean that the store
/// can be reached.
pub fn open(
    location: &StoreLocation,
    app_root: &Path,
    cloud: &Cloud,
    credential: &Arc<Credential>,
    http: &Http,
) -> anyhow::Result<Store> {
    match location {
        StoreLocation::Folder(folder) => Store::folder(&app_root.join(folder))
            .with_context(|| format!("cannot use the folder {}", folder.display())),
        StoreLocation::Container(url) => {
            let audience = cloud.storage_audience.clone();
            let tokens = StorageTokens {
                credential: Arc::clone(credential),
                audience,
            };
            Store::container(url, Arc::new(tokens), http.client())
                .with_context(|| format!("cannot use the container {url}"))
        }
    }
}

/// Tokens for Blob Storage, of the identity that is used for all of Azure.
#[derive(Debug)]
struct StorageTokens {
    credential: Arc<Credential>,
    audience: String,
}

#[async_trait]
impl TokenProvider for StorageTokens {
    async fn token(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let token = self
            .credential
            .token(&self.audience, Deadline::after(TOKEN))
            .await?;
        Ok(token.expose().to_owned())
    }

    async fn refused(&self) {
        // The refused token is the cached one, so that this request is free.
        if let Ok(token) = self
            .credential
            .token(&self.audience, Deadline::after(TOKEN))
            .await
        {
            self.credential.rejected(&self.audience, &token);
        }
    }
}
