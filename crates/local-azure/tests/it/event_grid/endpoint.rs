//! An endpoint that passes the validation and then responds with given statuses.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyrelay_local_azure::event_grid::EventSubscription;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::TOPIC;

/// The received requests, without the handshakes.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

pub(crate) struct Endpoint {
    url: Url,
    shared: Arc<Shared>,
    _server: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Shared {
    arrived: Mutex<Vec<Arrived>>,
    /// The statuses of the responses, followed by 200. The status 0 means no response.
    statuses: Mutex<VecDeque<u16>>,
}

impl Endpoint {
    pub(crate) async fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = Url::parse(&format!("http://{}/hook", listener.local_addr().unwrap())).unwrap();
        let shared = Arc::new(Shared {
            statuses: Mutex::new(statuses.iter().copied().collect()),
            ..Shared::default()
        });
        let router = Router::new()
            .fallback(response)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            shared,
            _server: AbortOnDropHandle::new(server),
        }
    }

    /// All events of the topic.
    pub(crate) fn subscription(&self) -> EventSubscription {
        EventSubscription::new("my-subscription", TOPIC, self.url.clone())
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.shared.arrived.lock().unwrap().clone()
    }
}

async fn response(
    State(shared): State<Arc<Shared>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if method == Method::OPTIONS {
        return [("webhook-allowed-origin", "eventgrid.azure.net")].into_response();
    }
    let body = serde_json::from_slice::<Value>(&body).unwrap();
    if headers["aeg-event-type"] == "SubscriptionValidation" {
        assert_eq!(
            body[0]["eventType"],
            "Microsoft.EventGrid.SubscriptionValidationEvent"
        );
        let response = json!({ "validationResponse": body[0]["data"]["validationCode"] });
        // Closes the connection, so that dropping the endpoint leaves none open.
        return ([(header::CONNECTION, "close")], response.to_string()).into_response();
    }
    shared
        .arrived
        .lock()
        .unwrap()
        .push(Arrived { headers, body });
    let status = shared.statuses.lock().unwrap().pop_front().unwrap_or(200);
    match status {
        0 => std::future::pending().await,
        status => StatusCode::from_u16(status).unwrap().into_response(),
    }
}
