//! The client for Resource Manager.

use std::sync::Arc;

use keyrelay_model::AppId;
use url::Url;

use crate::cloud::{Cloud, CloudError};
use crate::credential::Credential;
use crate::http::Http;
use crate::request_log::Operation;
use crate::spread::Credentials;
use crate::transport::{Action, Request, Transport};

/// A client for the Resource Manager of a cloud.
#[derive(Debug, Clone)]
pub struct ResourceManager {
    pub(super) cloud: Cloud,
    pub(super) transport: Transport,
}

impl ResourceManager {
    /// Creates a client that authenticates with `credential`.
    pub fn new(cloud: &Cloud, credential: Arc<Credential>, http: Http) -> Result<Self, CloudError> {
        Self::with_identities(cloud, credential, Vec::new(), http)
    }

    /// Creates a client for several identities, because Azure limits the requests of each on its own.
    ///
    /// Requests about an app use the identity of its id ([`identity_of`](crate::identity_of)): `first`
    /// has the number 0. All other requests, such as lists of sites, use `first`.
    pub fn with_identities(
        cloud: &Cloud,
        first: Arc<Credential>,
        others: Vec<Arc<Credential>>,
        http: Http,
    ) -> Result<Self, CloudError> {
        cloud.check()?;
        let credentials = Credentials::new(first, others);
        let audience = cloud.resource_manager_audience.clone();
        Ok(Self {
            cloud: cloud.clone(),
            transport: Transport::with_buckets(http, credentials, audience),
        })
    }

    /// A request about an app.
    pub(super) fn app_request<'a>(
        &self,
        operation: Operation,
        app: &AppId,
        path: &str,
        action: Action<'a>,
    ) -> Request<'a> {
        let subject = match app.slot() {
            Some(slot) => format!("{}/slots/{slot}", app.site()),
            None => app.site().to_owned(),
        };
        Request {
            operation,
            subject,
            identity: self.transport.identity_of(app),
            throttle: app.subscription().to_owned(),
            url: self.url(path),
            action,
            is_admitted: false,
        }
    }

    /// A read about a resource of another provider than Microsoft.Web, by its id.
    pub(super) fn resource_request(
        &self,
        operation: Operation,
        id: &str,
        path: &str,
        api_version: &str,
    ) -> Request<'static> {
        let mut url = self.url(path);
        url.set_query(Some(&format!("api-version={api_version}")));
        Request {
            operation,
            subject: id.to_owned(),
            identity: id.parse().map_or(0, |app| self.transport.identity_of(&app)),
            throttle: id.split('/').nth(2).unwrap_or_default().to_owned(),
            url,
            action: Action::Get,
            is_admitted: false,
        }
    }

    /// The URL of a path. The path consists of resource ids, which need no escaping.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.cloud.resource_manager.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        url.set_query(Some(&format!("api-version={}", self.cloud.web_api_version)));
        url
    }
}
