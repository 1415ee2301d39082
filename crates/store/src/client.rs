//! The program's own HTTP client in the hands of `object_store`: a second one would read all root certificates again, and
//! keep connections of its own.

use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use tokio::time::timeout;

/// How long the store may take to begin its answer to one request. It is asked again then.
const REQUEST: Duration = Duration::from_secs(5);

/// The client, with a limit for each request.
#[derive(Debug, Clone)]
pub(crate) struct Shared(pub(crate) reqwest::Client);

impl HttpConnector for Shared {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Shared {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answered = timeout(REQUEST, self.0.call(request)).await;
        answered.unwrap_or_else(|elapsed| Err(HttpError::new(HttpErrorKind::Timeout, elapsed)))
    }
}
