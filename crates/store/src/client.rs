//! Lets `object_store` use the program's HTTP client. A second client would load all root
//! certificates again and keep its own connections.

use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use tokio::time::timeout;

/// The timeout for the response headers of one request. The request is retried then.
const REQUEST: Duration = Duration::from_secs(5);

/// The shared client, with a timeout for each request.
#[derive(Debug, Clone)]
pub(crate) struct SharedClient(pub(crate) reqwest::Client);

impl HttpConnector for SharedClient {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for SharedClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = timeout(REQUEST, self.0.call(request)).await;
        response.unwrap_or_else(|elapsed| Err(HttpError::new(HttpErrorKind::Timeout, elapsed)))
    }
}
