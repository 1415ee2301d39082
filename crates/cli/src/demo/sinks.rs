//! Two telemetry sinks behind one ingestion endpoint, told apart by instrumentation key, as in Application Insights.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A sink and what arrived at it.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    pub(super) name: &'static str,
    pub(super) key: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            key: uuid::Uuid::new_v4().to_string(),
            lines: Arc::default(),
        }
    }

    /// How many lines have arrived.
    pub(super) fn count(&self) -> usize {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// The latest line.
    pub(super) fn latest(&self) -> Option<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last()
            .cloned()
    }
}

/// Starts the ingestion endpoint and returns its address.
pub(super) async fn start(sinks: [Sink; 2]) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/v2/track", post(track))
        .with_state(sinks);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn track(State(sinks): State<[Sink; 2]>, Json(line): Json<Value>) -> Json<Value> {
    let text = |pointer| {
        line.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let sink = sinks.iter().find(|sink| sink.key == text("/iKey"));
    if let Some(sink) = sink {
        sink.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text("/data/baseData/message").to_owned());
    }
    Json(json!({ "itemsReceived": 1, "itemsAccepted": u8::from(sink.is_some()), "errors": [] }))
}
