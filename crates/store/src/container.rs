//! The blob container behind a store.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::azure::{AzureCredential, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::{BackoffConfig, ClientOptions, CredentialProvider, RetryConfig};
use url::{Host, Url};

use crate::client::SharedClient;
use crate::clock::StoreClock;

/// The source of bearer tokens for the store.
#[async_trait]
pub trait TokenProvider: fmt::Debug + Send + Sync {
    /// Returns a valid token.
    async fn token(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>>;

    /// Discards the last token, because the store has refused it.
    async fn refused(&self);
}

/// The URL of a blob container: `https://contoso.blob.core.windows.net/keyrelay`.
///
/// Azurite's has the account in the path: `http://127.0.0.1:10000/devstoreaccount1/keyrelay`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUrl {
    /// The blob service, without the container.
    service: Url,
    account: String,
    container: String,
}

/// An error from parsing the URL of a container, or from creating its client.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The text is not a URL.
    #[error("it is not a URL like `https://contoso.blob.core.windows.net/keyrelay`")]
    NotAUrl(#[from] url::ParseError),
    /// The URL does not name a container.
    #[error(
        "it must be https (http on 127.0.0.1 only), with a host and the name of a container, and nothing else"
    )]
    NotAContainer,
    /// The name of the container is not valid.
    #[error("`{0}` is not a container name: it has 3 to 63 lower-case letters, digits and dashes")]
    Name(String),
    /// The client cannot be created.
    #[error("cannot create a client for it")]
    Client(#[from] object_store::Error),
}

impl ContainerUrl {
    /// The URL of a container in a blob service.
    pub fn in_service(service: &Url, container: &str) -> Result<Self, ContainerError> {
        let mut url = service.clone();
        url.path_segments_mut()
            .map_err(|()| ContainerError::NotAContainer)?
            .pop_if_empty()
            .push(container);
        Self::try_from(url)
    }
}

impl FromStr for ContainerUrl {
    type Err = ContainerError;

    fn from_str(text: &str) -> Result<Self, ContainerError> {
        Self::try_from(text.trim().parse::<Url>()?)
    }
}

impl TryFrom<Url> for ContainerUrl {
    type Error = ContainerError;

    fn try_from(url: Url) -> Result<Self, ContainerError> {
        let local = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => return Err(ContainerError::NotAContainer),
        };
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !bare || !(url.scheme() == "https" || url.scheme() == "http" && local) {
            return Err(ContainerError::NotAContainer);
        }
        let segments: Vec<String> = url
            .path_segments()
            .into_iter()
            .flatten()
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect();
        // Azurite has the account in the path. In Azure it is the first label of the host.
        let (account, container) = match (local, segments.as_slice()) {
            (true, [account, container]) => (account.clone(), container.clone()),
            (false, [container]) => {
                let account = url
                    .host_str()
                    .and_then(|host| host.split('.').next())
                    .unwrap_or_default();
                (account.to_owned(), container.clone())
            }
            _ => return Err(ContainerError::NotAContainer),
        };
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(3..=63).contains(&container.len()) || !container.chars().all(allowed) {
            return Err(ContainerError::Name(container));
        }
        let mut service = url;
        service.set_path(if local { &account } else { "" });
        Ok(Self {
            service,
            account,
            container,
        })
    }
}

impl fmt::Display for ContainerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}",
            self.service.as_str().trim_end_matches('/'),
            self.container
        )
    }
}

pub(crate) fn open(
    url: &ContainerUrl,
    tokens: Arc<dyn TokenProvider>,
    client: &reqwest::Client,
    clock: &Arc<StoreClock>,
) -> Result<MicrosoftAzure, ContainerError> {
    // `ContainerUrl` allows plain http only on this machine.
    let options = ClientOptions::new().with_allow_http(url.service.scheme() == "http");
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(6),
    };
    let objects = MicrosoftAzureBuilder::new()
        .with_account(&url.account)
        .with_container_name(&url.container)
        .with_endpoint(url.service.as_str().trim_end_matches('/').to_owned())
        .with_credentials(Arc::new(BearerTokens(tokens)))
        .with_client_options(options)
        .with_http_connector(SharedClient {
            client: client.clone(),
            clock: Arc::clone(clock),
        })
        .with_retry(retry)
        .build()?;
    Ok(objects)
}

/// Adapts a [`TokenProvider`] to `object_store`.
#[derive(Debug)]
struct BearerTokens(Arc<dyn TokenProvider>);

#[async_trait]
impl CredentialProvider for BearerTokens {
    type Credential = AzureCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AzureCredential>> {
        let failed = |source| object_store::Error::Generic {
            store: "blob container",
            source,
        };
        Ok(Arc::new(AzureCredential::BearerToken(
            self.0.token().await.map_err(failed)?,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, service: &str, account: &str) {
        let url: ContainerUrl = text.parse().unwrap();
        assert_eq!(
            (url.service.as_str(), url.account.as_str()),
            (service, account)
        );
        assert_eq!(url.to_string(), text.trim_end_matches('/'));
    }

    #[test]
    fn urls_of_azure_and_of_azurite_are_parsed() {
        check(
            "https://contoso.blob.core.windows.net/keyrelay",
            "https://contoso.blob.core.windows.net/",
            "contoso",
        );
        check(
            "https://contoso.blob.core.windows.net/keyrelay/",
            "https://contoso.blob.core.windows.net/",
            "contoso",
        );
        check(
            "http://127.0.0.1:10000/devstoreaccount1/keyrelay",
            "http://127.0.0.1:10000/devstoreaccount1",
            "devstoreaccount1",
        );
    }

    #[test]
    fn a_container_of_a_service_is_named_by_its_url() {
        let of = |service: &str| {
            ContainerUrl::in_service(&service.parse().unwrap(), "keyrelay")
                .unwrap()
                .to_string()
        };
        assert_eq!(
            of("https://contoso.blob.core.windows.net"),
            "https://contoso.blob.core.windows.net/keyrelay"
        );
        assert_eq!(
            of("http://127.0.0.1:1/account/"),
            "http://127.0.0.1:1/account/keyrelay"
        );
    }

    #[test]
    fn a_url_that_names_no_container_is_refused() {
        for text in [
            "keyrelay",
            "https://contoso.blob.core.windows.net",
            "https://contoso.blob.core.windows.net/a/b",
            "https://contoso.blob.core.windows.net/KEY",
            "http://contoso.blob.core.windows.net/keyrelay",
            "https://contoso.blob.core.windows.net/keyrelay?sv=1",
            "https://user:word@contoso.blob.core.windows.net/keyrelay",
            "ftp://127.0.0.1/a/keyrelay",
        ] {
            assert!(text.parse::<ContainerUrl>().is_err(), "{text}");
        }
    }
}
