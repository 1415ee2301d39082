//! The floor: an axum server that links wasmtime and loads nothing. No custom handler with policies
//! can cost less.

use std::net::Ipv4Addr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(0);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    // The second route is never requested. It makes the linker keep wasmtime.
    let router = Router::new()
        .route("/", get(|| async { "ready\n" }).post(|| async { "{}" }))
        .route("/compile", get(compile));
    axum::serve(listener, router).await
}

async fn compile() -> StatusCode {
    let compiled =
        Engine::new(&Config::new()).and_then(|engine| Component::new(&engine, "(component)"));
    if compiled.is_ok() {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}
