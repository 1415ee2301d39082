//! The way of a request, which is the same for all services: record, token, interceptions, faults, service, answer.

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
use crate::intercept::{Moment, Then};
use crate::requests::{Entry, Service};
use crate::serve::Cut;
use crate::{control, key_vault, resource_manager, storage};

/// Answers one request to one service.
pub(crate) async fn exchange(
    backend: Arc<Backend>,
    service: Service,
    request: Request<Body>,
) -> Result<Response, Cut> {
    let now = Timestamp::now();
    let call = match Call::read(service, request).await {
        Ok(call) => call,
        Err(refusal) => return Ok(refusal),
    };
    if service == Service::ResourceManager && control::is_meant_by(&call) {
        return Ok(control::answer(&backend, &call));
    }
    let entry = backend.requests.arrived(&call, now);
    // What has arrived is carried out even if the client is gone by then: killed, perhaps, at an interception.
    let seen_through = see_through(Arc::clone(&backend), call, Arc::clone(&entry), now);
    let response = backend.to_its_end(seen_through).await.unwrap_or(Err(Cut))?;
    entry.answered(response.status().as_u16());
    Ok(response)
}

/// Carries out a request that was read to its end, and makes the answer.
async fn see_through(
    backend: Arc<Backend>,
    mut call: Call,
    entry: Arc<Entry>,
    now: Timestamp,
) -> Result<Response, Cut> {
    let service = call.service;
    let (caller, mut response) = match caller(&backend, &call, now) {
        Err(refusal) => (String::new(), *refusal),
        Ok(caller) => {
            entry.is_from(&caller);
            pass(&backend, Moment::Arrived, &call).await?;
            call.effects = backend.faults.of(&call);
            let response = carry_out(&backend, &call, &caller, now).await?;
            (caller, response)
        }
    };
    if service == Service::ResourceManager {
        resource_manager::add_headers(&backend, &call, &caller, &mut response);
    }
    answer::set_header(
        &mut response,
        "x-ms-request-id",
        &Uuid::new_v4().to_string(),
    );
    let status = response.status().as_u16();
    tracing::debug!(?service, method = %call.method, path = call.path, status, "a request was carried out");
    spoil(&call.effects, response).await
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
        Service::Storage => storage::caller(backend, call, now),
    }
}

/// Lets a test act at this moment.
async fn pass(backend: &Backend, moment: Moment, call: &Call) -> Result<(), Cut> {
    match backend.intercepts.at(moment, call).await {
        Then::GoOn => Ok(()),
        Then::Drop => Err(Cut),
    }
}

/// Does what is asked, unless a fault comes first.
async fn carry_out(
    backend: &Arc<Backend>,
    call: &Call,
    caller: &str,
    now: Timestamp,
) -> Result<Response, Cut> {
    for effect in &call.effects {
        if let Effect::Hang = effect {
            std::future::pending::<Infallible>().await;
        }
        if let Some(error) = effect.answer(call.service) {
            return Ok(error);
        }
    }
    let response = match call.service {
        Service::Identity => backend.identities.answer(call, now),
        Service::KeyVault => key_vault::answer(backend, call, caller, now),
        Service::ResourceManager => resource_manager::answer(backend, call, caller),
        Service::Storage => storage::answer(backend, call).await,
    };
    pass(backend, Moment::CarriedOut, call).await?;
    Ok(response)
}

/// Does to an answer what faults do to it on its way.
async fn spoil(effects: &[Effect], mut response: Response) -> Result<Response, Cut> {
    for effect in effects {
        match effect {
            Effect::Delay { milliseconds } => {
                tokio::time::sleep(Duration::from_millis(*milliseconds)).await
            }
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
