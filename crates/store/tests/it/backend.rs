//! The backends of the tests. Each test runs in a folder and in a container.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use keyrelay_local_azure::{Azurite, AzuriteOptions, Cloud, CloudOptions, World};
use keyrelay_store::{Store, TokenProvider};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// A folder or a container for stores.
pub(crate) struct Backend {
    folder: TempDir,
    cloud: Option<(Cloud, Arc<Azurite>)>,
}

impl Backend {
    /// A folder.
    pub(crate) fn folder() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            cloud: None,
        }
    }

    /// A container. `None` if Azurite is not installed; `cargo xtask test` installs it, and reports
    /// if it cannot.
    pub(crate) async fn container() -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "the one variable of these tests")]
        let script = std::env::var_os("KEYRELAY_AZURITE").map(PathBuf::from)?;
        let folder = tempfile::tempdir().unwrap();
        let options = AzuriteOptions {
            script,
            folder: folder.path().join("azurite"),
        };
        let azurite = Arc::new(Azurite::start(options).await.unwrap());
        let options = CloudOptions {
            storage: Some(Arc::clone(&azurite)),
            ..CloudOptions::default()
        };
        let (events, _) = mpsc::unbounded_channel();
        let cloud = Cloud::start(
            World::parse("subscription = \"00000000-0000-0000-0000-000000000001\"").unwrap(),
            options,
            events,
        )
        .await
        .unwrap();
        Some(Self {
            folder,
            cloud: Some((cloud, azurite)),
        })
    }

    /// Opens another store in the same backend, like another process.
    pub(crate) fn store(&self) -> Store {
        let Some((cloud, _)) = &self.cloud else {
            return Store::folder(&self.folder.path().join("store")).unwrap();
        };
        let url =
            keyrelay_store::ContainerUrl::in_service(cloud.storage_url().unwrap(), "keyrelay")
                .unwrap();
        Store::container(&url, Arc::new(IdentityTokens::of(cloud)), &client()).unwrap()
    }

    /// The stand-in for Azure behind a container.
    pub(crate) fn cloud(&self) -> (&Cloud, &Azurite) {
        let (cloud, azurite) = self.cloud.as_ref().unwrap();
        (cloud, azurite)
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// The tokens of an app's managed identity.
#[derive(Debug)]
struct IdentityTokens {
    endpoint: String,
    header: String,
}

impl IdentityTokens {
    fn of(cloud: &Cloud) -> Self {
        let of = |wanted: &str| {
            cloud
                .environment()
                .into_iter()
                .find(|(name, _)| name == wanted)
                .unwrap()
                .1
        };
        Self {
            endpoint: of("IDENTITY_ENDPOINT"),
            header: of("IDENTITY_HEADER"),
        }
    }
}

#[async_trait]
impl TokenProvider for IdentityTokens {
    async fn token(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let url = format!(
            "{}?resource=https://storage.azure.com&api-version=2019-08-01",
            self.endpoint
        );
        let request = client().get(url).header("x-identity-header", &self.header);
        let response: Value = request.send().await?.error_for_status()?.json().await?;
        let token = response
            .get("access_token")
            .and_then(Value::as_str)
            .ok_or("no token")?;
        Ok(token.to_owned())
    }

    async fn refused(&self) {}
}

/// Defines each test twice: in a folder and in a container.
macro_rules! on_both_backends {
    ($($name:ident,)*) => {
        mod in_a_folder {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::backend::Backend::folder()).await;
            })*
        }

        mod in_a_container {
            $(#[tokio::test]
            async fn $name() {
                if let Some(backend) = crate::backend::Backend::container().await {
                    super::$name(backend).await;
                }
            })*
        }
    };
}
pub(crate) use on_both_backends;
