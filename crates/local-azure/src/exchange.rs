//! The way of a request, which is the same for all services: record, token, faults, service, answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::Request;
use axum::http::header::CONTENT_LENGTH;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use uuid::Uuid;

use crate::answer::{self, Response};
use crate::backend::Backend;
use crate::call::Call;
use crate::faults::Effect;
use crate::requests::Service;
use crate::serve::Cut;
use crate::{control, key_vault, resource_manager};

/// Answers one request to one service.
pub(crate) async fn exchange(backend: Arc<Backend>, service: Service, request: Request<Body>) -> Result<Response, Cut> {
    let now = Timestamp::now();
    let mut call = match Call::read(service, request).await {
        Ok(call) => call,
        Err(refusal) => return Ok(refusal),
    };
    if service == Service::ResourceManager && control::is_meant_by(&call) {
        return Ok(control::answer(&backend, &call));
    }
    let entry = backend.requests.arrived(&call, now);
    let (caller, mut response) = match caller(&backend, &call, now) {
        Err(refusal) => (String::new(), *refusal),
        Ok(caller) => {
            entry.is_from(&caller);
            call.effects = backend.faults.of(&call);
            let response = carry_out(&backend, &call, &caller, now).await;
            (caller, response)
        }
    };
    if service == Service::ResourceManager {
        resource_manager::add_headers(&backend, &call, &caller, &mut response);
    }
    answer::set_header(&mut response, "x-ms-request-id", &Uuid::new_v4().to_string());
    let status = response.status().as_u16();
    tracing::debug!(?service, method = %call.method, path = call.path, status, "a request was carried out");
    let response = spoil(&call.effects, response).await?;
    entry.answered(status);
    Ok(response)
}

/// Who asks. The error is the answer for somebody who may not.
fn caller(backend: &Backend, call: &Call, now: Timestamp) -> Result<String, Box<Response>> {
    match call.service {
        Service::Identity => match backend.identities.asking(call) {
            Some(identity) => Ok(identity.name.clone()),
            None => Err(Box::new(backend.identities.answer(call, now))),
        },
        Service::KeyVault => key_vault::caller(backend, call, now),
        Service::ResourceManager => resource_manager::caller(backend, call, now),
    }
}

/// Does what is asked, unless a fault comes first.
async fn carry_out(backend: &Arc<Backend>, call: &Call, caller: &str, now: Timestamp) -> Response {
    for effect in &call.effects {
        if let Effect::Hang = effect {
            std::future::pending::<Infallible>().await;
        }
        if let Some(error) = effect.answer() {
            return error;
        }
    }
    match call.service {
        Service::Identity => backend.identities.answer(call, now),
        Service::KeyVault => key_vault::answer(backend, call, caller, now),
        Service::ResourceManager => resource_manager::answer(backend, call),
    }
}

/// Does to an answer what faults do to it on its way.
async fn spoil(effects: &[Effect], mut response: Response) -> Result<Response, Cut> {
    for effect in effects {
        match effect {
            Effect::Delay { milliseconds } => tokio::time::sleep(Duration::from_millis(*milliseconds)).await,
            Effect::Cut => return Err(Cut),
            Effect::HalfAnswer => response = halve(response).await?,
            _ => {}
        }
    }
    Ok(response)
}

/// An answer that announces its whole body and ends in the middle of it.
async fn halve(response: Response) -> Result<Response, Cut> {
    let (mut head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| Cut)?;
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    let half = body.slice(..body.len() / 2);
    let end = stream::once(async {
        // While the body is not ready, hyper sends what it has.
        tokio::task::yield_now().await;
        Err::<Bytes, Cut>(Cut)
    });
    let body = Body::from_stream(stream::iter([Ok(half)]).chain(end));
    Ok(Response::from_parts(head, body))
}
