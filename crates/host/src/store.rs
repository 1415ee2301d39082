//! Opens the store that is configured.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use keyrelay_azure::{Cloud, Credential, Deadline, Http};
use keyrelay_store::{Store, Tokens};

use crate::config::StorePlace;

/// How long a token may take. An operation of the store has 8 seconds.
const TOKEN: Duration = Duration::from_secs(5);

/// Opens the store. Nothing is asked of it yet, so this says nothing about whether it can be reached.
pub fn open(
    place: &StorePlace,
    app_root: &Path,
    cloud: &Cloud,
    credential: &Arc<Credential>,
    http: &Http,
) -> anyhow::Result<Store> {
    match place {
        StorePlace::Folder(folder) => Store::folder(&app_root.join(folder))
            .with_context(|| format!("cannot use the folder {}", folder.display())),
        StorePlace::Container(url) => {
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

/// Tokens for blob storage, of the identity that everything else is done with.
#[derive(Debug)]
struct StorageTokens {
    credential: Arc<Credential>,
    audience: String,
}

#[async_trait]
impl Tokens for StorageTokens {
    async fn token(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let token = self
            .credential
            .token(&self.audience, Deadline::after(TOKEN))
            .await?;
        Ok(token.expose().to_owned())
    }

    async fn refused(&self) {
        // The one that was refused is the one that is remembered: asking for it again costs nothing.
        if let Ok(token) = self
            .credential
            .token(&self.audience, Deadline::after(TOKEN))
            .await
        {
            self.credential.rejected(&self.audience, &token);
        }
    }
}
