//! Resource Manager with the parts that concern settings.

mod api_versions;
mod bodies;
mod connection_strings;
mod event_subscription;
mod groups;
mod lifecycle;
mod metadata;
mod plans;
mod properties;
mod providers;
mod rate_limits;
mod references;
mod refusal;
mod request;
mod resource_type;
mod resources;
mod rights;
mod routes;
mod settings;
mod site_config;
mod sites;
mod state;
mod subscriptions;
mod swap;
mod tier;
mod topics;
mod vaults;

use jiff::Timestamp;

pub(crate) use event_subscription::ListedSubscription;
pub(crate) use state::{ResourceManagerOptions, ResourceManagerService};

use crate::azure_cloud::Audience;
use crate::call::ServiceCall;
use crate::response::{self, Response};
use refusal::ResourceManagerRefusal;
use request::{ManagerRequest, OperationResult, Target};
use resource_type::ResourceType;
use routes::Route;

impl ResourceManagerService {
    /// Authenticates the caller and applies the rate limits. The error is the response to a
    /// rejected caller, or to a request that needs no token.
    pub(crate) fn caller(
        &self,
        call: &ServiceCall,
        now: Timestamp,
    ) -> Result<String, Box<Response>> {
        if metadata::is_metadata(call) {
            let endpoints = metadata::endpoints(self, call);
            return Err(Box::new(
                endpoints.unwrap_or_else(ResourceManagerRefusal::into_response),
            ));
        }
        // Resource Manager checks the API version before the token.
        if call.query.get("api-version").is_none_or(str::is_empty) {
            return Err(Box::new(
                ResourceManagerRefusal::NoApiVersion.into_response(),
            ));
        }
        let owner = self.identities.owner(call, Audience::ResourceManager, now);
        let owner = owner
            .map_err(|reason| Box::new(refusal::challenge(self.cloud, &self.tenant, reason)))?;
        self.rate_limits
            .take(&owner, &call.method, tokio::time::Instant::now())
            .map_err(|wait| {
                let refusal = ResourceManagerRefusal::TooManyRequests {
                    subscription: self.subscription.clone(),
                    wait,
                };
                Box::new(refusal.into_response())
            })?;
        Ok(owner)
    }

    /// Adds the headers of every response.
    pub(crate) fn add_headers(&self, call: &ServiceCall, caller: &str, response: &mut Response) {
        let correlation = uuid::Uuid::new_v4().to_string();
        response::set_header(response, "x-ms-correlation-request-id", &correlation);
        let (header, left) =
            self.rate_limits
                .left(caller, &call.method, tokio::time::Instant::now());
        response::set_header(response, header, &left.to_string());
    }

    /// Executes a request.
    pub(crate) fn respond(&self, call: &ServiceCall, caller: &str) -> Response {
        self.execute(call, caller)
            .unwrap_or_else(ResourceManagerRefusal::into_response)
    }

    fn execute(&self, call: &ServiceCall, caller: &str) -> OperationResult {
        // Ids compare case-insensitively.
        let lower: Vec<String> = call.segments().iter().map(|it| it.to_lowercase()).collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        let target = Target::of(&lower);
        let route = Route::of(&call.method, &target).ok_or(ResourceManagerRefusal::NoOperation)?;
        let version = call.query.get("api-version").unwrap_or_default();
        let resource_type = ResourceType::of_path(target.in_subscription);
        route.versions.check(version, resource_type)?;
        if let Some(subscription) = target.subscription {
            let is_there = self.has_subscription(subscription) && route.is_of_vaults();
            if !subscription.eq_ignore_ascii_case(&self.subscription) && !is_there {
                return Err(ResourceManagerRefusal::NoSubscription(
                    subscription.to_owned(),
                ));
            }
            rights::check(self, call, caller, target.in_subscription)?;
        }
        (route.operation)(&ManagerRequest {
            manager: self,
            call,
            caller,
            target,
        })
    }
}
