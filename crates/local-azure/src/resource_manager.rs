//! Resource Manager with the part of Microsoft.Web that concerns settings.

mod bodies;
mod config;
mod event_subscription;
mod rate_limits;
mod refusal;
mod rights;
mod state;
mod topics;

use std::sync::Arc;

use axum::http::Method;
use jiff::Timestamp;

pub(crate) use event_subscription::ListedSubscription;
pub(crate) use state::{ResourceManagerOptions, ResourceManagerService};

use crate::apps::LocalApp;
use crate::azure_cloud::Audience;
use crate::call::ServiceCall;
use crate::response::{self, Response};
use refusal::ResourceManagerRefusal;

impl ResourceManagerService {
    /// Authenticates the caller and applies the rate limits. The error is the response to a
    /// rejected caller.
    pub(crate) fn caller(
        &self,
        call: &ServiceCall,
        now: Timestamp,
    ) -> Result<String, Box<Response>> {
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

    fn execute(
        &self,
        call: &ServiceCall,
        caller: &str,
    ) -> Result<Response, ResourceManagerRefusal> {
        let segments = call.segments();
        // Ids compare case-insensitively.
        let lower: Vec<String> = segments
            .iter()
            .map(|segment| segment.to_lowercase())
            .collect();
        let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
        let (subscription, rest) = match lower.as_slice() {
            ["subscriptions", subscription, rest @ ..] => (subscription, rest),
            _ => return Err(ResourceManagerRefusal::NoOperation),
        };
        if !subscription.eq_ignore_ascii_case(&self.subscription) {
            return Err(ResourceManagerRefusal::NoSubscription(
                (*subscription).to_owned(),
            ));
        }
        rights::check(self, call, caller, rest)?;
        let provider = rest.iter().rposition(|part| *part == "providers");
        if let Some(at) = provider
            && let Some(["providers", "microsoft.authorization", operation @ ..]) = rest.get(at..)
        {
            let scope = call.path.to_lowercase();
            let scope = scope
                .split("/providers/microsoft.authorization")
                .next()
                .unwrap_or_default();
            return rights::authorization(self, call, caller, scope, operation);
        }
        match (&call.method, rest) {
            (&Method::GET, ["providers", "microsoft.web", "sites"]) => {
                Ok(self.sites(call, |_| true))
            }
            (_, ["providers", "microsoft.eventgrid", rest @ ..]) => {
                topics::in_subscription(self, call, rest)
            }
            (method, ["resourcegroups", group, rest @ ..]) => {
                let name = self.group_named(group)?;
                match (method, rest) {
                    (&Method::GET, []) => Ok(response::ok(&bodies::resource_group(self, name))),
                    (&Method::GET, ["providers", "microsoft.web", "sites"]) => {
                        Ok(self.sites(call, |app| app.resource_group.eq_ignore_ascii_case(name)))
                    }
                    (_, ["providers", "microsoft.eventgrid", rest @ ..]) => {
                        topics::in_group(self, call, rest)
                    }
                    (_, ["providers", "microsoft.web", "sites", site, rest @ ..]) => {
                        self.site_operation(call, name, site, rest)
                    }
                    _ => Err(ResourceManagerRefusal::NoOperation),
                }
            }
            _ => Err(ResourceManagerRefusal::NoOperation),
        }
    }

    /// The original name of a resource group. A group exists if it has a resource.
    fn group_named(&self, name: &str) -> Result<&str, ResourceManagerRefusal> {
        let groups = self
            .apps
            .iter()
            .map(|app| app.resource_group.as_str())
            .chain(self.vaults.resource_groups());
        let mut groups = groups.filter(|group| group.eq_ignore_ascii_case(name));
        groups
            .next()
            .ok_or_else(|| ResourceManagerRefusal::NoResourceGroup(name.to_owned()))
    }

    /// Executes an operation on a site or one of its slots.
    fn site_operation(
        &self,
        call: &ServiceCall,
        group: &str,
        site: &str,
        rest: &[&str],
    ) -> Result<Response, ResourceManagerRefusal> {
        let find = |name: &str| {
            let app = self
                .apps
                .named(name)
                .filter(|app| app.resource_group.eq_ignore_ascii_case(group));
            app.ok_or_else(|| ResourceManagerRefusal::NoApp {
                name: name.to_owned(),
                group: group.to_owned(),
            })
        };
        let app = find(site)?;
        match (&call.method, rest) {
            (&Method::GET, ["slots"]) => {
                let slots = self
                    .apps
                    .iter()
                    .filter(|it| it.slot.is_some() && it.id.starts_with(&format!("{}/", app.id)));
                Ok(self.list(
                    call,
                    slots
                        .map(|slot| (slot.id.to_lowercase(), bodies::app(self, slot)))
                        .collect(),
                ))
            }
            (_, ["slots", slot, rest @ ..]) => {
                self.app_operation(call, find(&format!("{site}/{slot}"))?, rest)
            }
            _ => self.app_operation(call, app, rest),
        }
    }

    fn app_operation(
        &self,
        call: &ServiceCall,
        app: &Arc<LocalApp>,
        rest: &[&str],
    ) -> Result<Response, ResourceManagerRefusal> {
        match (&call.method, rest) {
            (&Method::GET, []) => Ok(response::ok(&bodies::app(self, app))),
            (_, ["config", rest @ ..]) => self.config_operation(call, app, rest),
            _ => Err(ResourceManagerRefusal::NoOperation),
        }
    }

    /// The sites of a scope, without their slots.
    fn sites(&self, call: &ServiceCall, in_scope: impl Fn(&LocalApp) -> bool) -> Response {
        let sites = self
            .apps
            .iter()
            .filter(|app| app.slot.is_none() && in_scope(app));
        self.list(
            call,
            sites
                .map(|site| (site.id.to_lowercase(), bodies::app(self, site)))
                .collect(),
        )
    }
}
