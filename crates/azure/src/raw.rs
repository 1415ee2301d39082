//! Single requests without an interpretation of their responses, for measurements of Azure.

use std::sync::Arc;

use keyrelay_model::{SecretName, VaultHost};
use reqwest::RequestBuilder;
use reqwest::header::{ACCEPT, CONTENT_LENGTH};
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use crate::call::Deadline;
use crate::cloud::{Cloud, CloudError};
use crate::credential::Credential;
use crate::failure::Failure;
use crate::http::{self, Http};
use crate::paging::follow;

/// A client that sends each request once and returns every response as it is.
///
/// All other clients retry, and return only the parts of a response that a rotation needs. This one
/// is for `keyrelay calibrate`, which records the behaviour of Azure.
#[derive(Debug, Clone)]
pub struct RawClient {
    cloud: Cloud,
    credential: Arc<Credential>,
    http: Http,
}

/// A request. It is not `Debug`, because it may hold the value of a secret.
#[expect(
    missing_debug_implementations,
    reason = "a request may hold the value of a secret"
)]
#[derive(Clone, Copy)]
pub enum RawRequest<'a> {
    /// A `GET` from Resource Manager.
    Get {
        /// The path, which consists of resource ids and needs no escaping.
        path: &'a str,
        /// The api-version.
        api_version: &'a str,
    },
    /// A `GET` of the next page of a list of Resource Manager.
    Next {
        /// The `nextLink` of the page before. It must lead to Resource Manager.
        link: &'a str,
    },
    /// A `POST` without a body to Resource Manager.
    Post {
        /// The path, which consists of resource ids and needs no escaping.
        path: &'a str,
        /// The api-version.
        api_version: &'a str,
    },
    /// A new version of a secret.
    SetSecret {
        /// The vault. It must belong to the cloud.
        vault: &'a VaultHost,
        /// The secret.
        secret: &'a SecretName,
        /// The value.
        value: &'a str,
        /// Whether the new version is enabled.
        enabled: bool,
    },
}

/// A response of any status. It is not `Debug`, because its body may hold plain text.
#[expect(
    missing_debug_implementations,
    reason = "the body of a response may hold the values of settings and secrets"
)]
pub struct RawResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers. A value that is not text is empty.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl RawClient {
    /// Creates a client that authenticates with `credential`.
    pub fn new(cloud: &Cloud, credential: Arc<Credential>, http: Http) -> Result<Self, CloudError> {
        cloud.check()?;
        Ok(Self {
            cloud: cloud.clone(),
            credential,
            http,
        })
    }

    /// Sends a request once. A response with the status of an error is a response, too.
    pub async fn send(
        &self,
        request: RawRequest<'_>,
        deadline: Deadline,
    ) -> Result<RawResponse, Failure> {
        let (builder, audience) = self.builder(request)?;
        let token = self.credential.token(audience, deadline).await?;
        let builder = builder
            .header(ACCEPT, "application/json")
            .bearer_auth(token.expose());
        let started = Instant::now();
        let bounded = deadline.bound(self.receive(builder)).await;
        let response = bounded.unwrap_or_else(|| {
            Err(Failure::TimedOut {
                after: started.elapsed(),
            })
        })?;
        if response.status == 401 {
            self.credential.rejected(audience, &token);
        }
        Ok(response)
    }

    /// The request without its token, and the audience of that token.
    fn builder(&self, request: RawRequest<'_>) -> Result<(RequestBuilder, &str), Failure> {
        let client = self.http.client();
        let audience = self.cloud.resource_manager_audience.as_str();
        Ok(match request {
            RawRequest::Get { path, api_version } => {
                (client.get(self.url(path, api_version)), audience)
            }
            RawRequest::Next { link } => (
                client.get(follow(&self.cloud.resource_manager, link)?),
                audience,
            ),
            RawRequest::Post { path, api_version } => {
                let builder = client.post(self.url(path, api_version));
                // Resource Manager responds with 411 to a POST without a length.
                (builder.header(CONTENT_LENGTH, "0"), audience)
            }
            RawRequest::SetSecret {
                vault,
                secret,
                value,
                enabled,
            } => {
                let body = json!({ "value": value, "attributes": { "enabled": enabled } });
                let url = self.secret_url(vault, secret)?;
                (client.put(url).json(&body), &self.cloud.vault_audience)
            }
        })
    }

    fn url(&self, path: &str, api_version: &str) -> Url {
        let mut url = self.cloud.resource_manager.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        url.query_pairs_mut()
            .append_pair("api-version", api_version);
        url
    }

    /// The URL of a secret. A vault of another cloud is an error, because it would get the token.
    fn secret_url(&self, vault: &VaultHost, secret: &SecretName) -> Result<Url, Failure> {
        let suffix = &self.cloud.vault_suffix;
        let foreign = || Failure::ForeignVault {
            suffix: suffix.clone(),
        };
        if !vault.suffix().eq_ignore_ascii_case(suffix) {
            return Err(foreign());
        }
        let mut url = self.cloud.vault_url(vault).map_err(|_| foreign())?;
        url.set_path(&format!(
            "{}/secrets/{secret}",
            url.path().trim_end_matches('/')
        ));
        url.query_pairs_mut()
            .append_pair("api-version", &self.cloud.vault_api_version);
        Ok(url)
    }

    async fn receive(&self, builder: RequestBuilder) -> Result<RawResponse, Failure> {
        let response = builder.send().await.map_err(http::failure)?;
        let status = response.status().as_u16();
        let text = |value: &reqwest::header::HeaderValue| {
            value.to_str().map(str::to_owned).unwrap_or_default()
        };
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        let body = self.http.read_body(response).await?;
        Ok(RawResponse {
            status,
            headers,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    #[tokio::test]
    async fn no_token_goes_to_another_cloud_or_host() {
        let http = Http::new().unwrap();
        let credential = Arc::new(Credential::new(Identity::Developer, &http));
        let client = RawClient::new(&Cloud::public(), credential, http).unwrap();
        let foreign = RawRequest::SetSecret {
            vault: &"contoso.vault.azure.cn".parse().unwrap(),
            secret: &"sql".parse().unwrap(),
            value: "v",
            enabled: true,
        };
        let failure = client.builder(foreign).err().unwrap();
        assert!(
            matches!(failure, Failure::ForeignVault { .. }),
            "{failure:?}"
        );
        let elsewhere = RawRequest::Next {
            link: "https://management.azure.com.example/subscriptions/s",
        };
        let failure = client.builder(elsewhere).err().unwrap();
        assert!(matches!(failure, Failure::NextLink(_)), "{failure:?}");
    }
}
