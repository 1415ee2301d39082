//! The exchange that all services share: record, token, interceptions, faults, execution, response.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::Request;
use axum::http::header::CONTENT_LENGTH;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use uuid::Uuid;

use super::control;
use super::services::CloudServices;
use crate::call::ServiceCall;
use crate::fault::Effect;
use crate::intercept::{Moment, Then};
use crate::recording::Recording;
use crate::requests::PendingRequest;
use crate::response::{self, Response};
use crate::serve::Cut;
use crate::service::Service;
use crate::storage;

/// Executes one request to one service.
pub(super) async fn exchange(
    services: Arc<CloudServices>,
    service: Service,
    request: Request<Body>,
) -> Result<Response, Cut> {
    let now = Timestamp::now();
    let call = match ServiceCall::read(service, request).await {
        Ok(call) => call,
        Err(response) => return Ok(response),
    };
    if service == Service::ResourceManager && control::is_control(&call) {
        return Ok(control::respond(&services, &call));
    }
    let pending = services.requests.arrived(&call, now);
    let recording = services.recording.as_ref();
    let recorded = recording.and_then(|it| Some((it, Recording::request(&call)?)));
    // A request that has arrived is executed even if its client is gone, for example killed by an
    // interception.
    let execution = execute(Arc::clone(&services), call, Arc::clone(&pending), now);
    let completed = services.tasks.run_to_completion(execution).await;
    let response = completed.unwrap_or(Err(Cut))?;
    pending.set_status(response.status().as_u16());
    match recorded {
        Some((recording, request)) => recording.write(request, response).await,
        None => Ok(response),
    }
}

/// Executes a request that has been read, and creates its response.
async fn execute(
    services: Arc<CloudServices>,
    mut call: ServiceCall,
    pending: Arc<PendingRequest>,
    now: Timestamp,
) -> Result<Response, Cut> {
    let service = call.service;
    let (caller, mut response) = match caller(&services, &call, now) {
        Err(response) => {
            if services.faults.swallow(&call) {
                std::future::pending::<Infallible>().await;
            }
            (String::new(), *response)
        }
        Ok(caller) => {
            pending.set_caller(&caller);
            pass(&services, Moment::Arrived, &call).await?;
            call.effects = services.faults.of_request(&call);
            let response = execute_unless_faulty(&services, &call, &caller, now).await?;
            (caller, response)
        }
    };
    if service == Service::ResourceManager {
        services
            .resource_manager
            .add_headers(&call, &caller, &mut response);
    }
    response::set_header(
        &mut response,
        "x-ms-request-id",
        &Uuid::new_v4().to_string(),
    );
    let status = response.status().as_u16();
    tracing::debug!(?service, method = %call.method, path = call.path, status, "a request was executed");
    disturb(&call.effects, response).await
}

/// Authenticates the caller. The error is the response to an unauthenticated caller.
fn caller(
    services: &CloudServices,
    call: &ServiceCall,
    now: Timestamp,
) -> Result<String, Box<Response>> {
    match call.service {
        Service::Identity => match services.identities.caller(call) {
            Some(identity) => Ok(identity.name.clone()),
            None => Err(Box::new(services.identities.respond(call, now))),
        },
        Service::KeyVault => services.key_vault.caller(call, now),
        Service::ResourceManager => services.resource_manager.caller(call, now),
        Service::Storage => storage::caller(&services.identities, call, now),
        Service::LogAnalytics => services.log_analytics.caller(call, now),
    }
}

/// Runs the interceptions of this moment.
async fn pass(services: &CloudServices, moment: Moment, call: &ServiceCall) -> Result<(), Cut> {
    match services.intercepts.at(moment, call).await {
        Then::GoOn => Ok(()),
        Then::Drop => Err(Cut),
    }
}

/// Executes a request, unless a fault prevents it.
async fn execute_unless_faulty(
    services: &Arc<CloudServices>,
    call: &ServiceCall,
    caller: &str,
    now: Timestamp,
) -> Result<Response, Cut> {
    for effect in &call.effects {
        if let Effect::Hang = effect {
            std::future::pending::<Infallible>().await;
        }
        if let Some(error) = effect.response(call.service) {
            return Ok(error);
        }
    }
    let response = match call.service {
        Service::Identity => services.identities.respond(call, now),
        Service::KeyVault => services.key_vault.respond(call, caller, now),
        Service::ResourceManager => services.resource_manager.respond(call, caller),
        Service::LogAnalytics => services.log_analytics.respond(call, caller, now),
        Service::Storage => match &services.storage {
            Some(storage) => storage.respond(call).await,
            None => storage::unavailable("There is no storage account."),
        },
    };
    pass(services, Moment::CarriedOut, call).await?;
    Ok(response)
}

/// Applies the effects of faults on a response.
async fn disturb(effects: &[Effect], mut response: Response) -> Result<Response, Cut> {
    for effect in effects {
        match effect {
            Effect::Delay { milliseconds } => {
                tokio::time::sleep(Duration::from_millis(*milliseconds)).await
            }
            Effect::Cut => return Err(Cut),
            Effect::HalfResponse => response = halve(response).await?,
            _ => {}
        }
    }
    Ok(response)
}

/// Cuts a response halfway through its body. Its headers announce the whole body.
async fn halve(response: Response) -> Result<Response, Cut> {
    let (mut head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| Cut)?;
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    let half = body.slice(..body.len() / 2);
    let end = stream::once(async {
        // While the body is not ready, hyper sends the first half.
        tokio::task::yield_now().await;
        Err::<Bytes, Cut>(Cut)
    });
    let body = Body::from_stream(stream::iter([Ok(half)]).chain(end));
    Ok(Response::from_parts(head, body))
}
