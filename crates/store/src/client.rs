//! Lets `object_store` use the program's HTTP client. A second client would load all root
//! certificates again and keep its own connections.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use tokio::time::timeout;

use crate::clock::StoreClock;

/// The timeout for the response headers of one request. The request is retried then.
const REQUEST: Duration = Duration::from_secs(5);

/// The shared client, with a timeout for each request, and the clock that its responses show.
#[derive(Debug, Clone)]
pub(crate) struct SharedClient {
    pub(crate) client: reqwest::Client,
    pub(crate) clock: Arc<StoreClock>,
}

impl HttpConnector for SharedClient {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for SharedClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = timeout(REQUEST, self.client.call(request)).await;
        let response = response
            .unwrap_or_else(|elapsed| Err(HttpError::new(HttpErrorKind::Timeout, elapsed)))?;
        let date = response.headers().get("date");
        if let Some(date) = date.and_then(|date| date.to_str().ok()) {
            self.clock.learn(date);
        }
        Ok(response)
    }
}
