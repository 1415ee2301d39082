//! The routes of Resource Manager, each with its api-versions.

use axum::http::Method;

use super::api_versions::{
    AUTHORIZATION, ApiVersions, EVENT_GRID, PLANS, RESOURCES, SITES, SUBSCRIPTIONS, VAULTS,
};
use super::request::{ManagerRequest, OperationResult, Scope, Target};
use super::{
    connection_strings, groups, lifecycle, plans, providers, references, resources, rights,
    settings, site_config, sites, subscriptions, swap, topics, vaults,
};

/// Executes an operation.
type Operation = fn(&ManagerRequest<'_>) -> OperationResult;

/// A route.
pub(super) struct Route {
    method: &'static str,
    scopes: &'static [Scope],
    /// The path after the scope in lower case, with `{}` for any part.
    path: &'static str,
    pub(super) versions: ApiVersions,
    pub(super) operation: Operation,
}

impl Route {
    /// The route of a request.
    pub(super) fn of(method: &Method, target: &Target<'_>) -> Option<&'static Self> {
        ROUTES.iter().find(|route| {
            method == route.method
                && route.scopes.contains(&target.scope)
                && route.matches(target.rest)
        })
    }

    /// Whether the operation is about vaults or their topics: other subscriptions than that of the
    /// world have nothing else.
    pub(super) fn is_of_vaults(&self) -> bool {
        let types = ["microsoft.keyvault/", "microsoft.eventgrid/"];
        let path = self.path.strip_prefix("providers/").unwrap_or_default();
        types.iter().any(|it| path.starts_with(it))
    }

    fn matches(&self, path: &[&str]) -> bool {
        let parts: Vec<&str> = self.path.split('/').filter(|it| !it.is_empty()).collect();
        parts.len() == path.len()
            && parts
                .iter()
                .zip(path)
                .all(|(wanted, part)| *wanted == "{}" || wanted == part)
    }
}

const fn route(
    method: &'static str,
    scopes: &'static [Scope],
    path: &'static str,
    versions: ApiVersions,
    operation: Operation,
) -> Route {
    Route {
        method,
        scopes,
        path,
        versions,
        operation,
    }
}

const GET: &str = "GET";
const POST: &str = "POST";
const PUT: &str = "PUT";
const PATCH: &str = "PATCH";

const TENANT: &[Scope] = &[Scope::Tenant];
const SUBSCRIPTION: &[Scope] = &[Scope::Subscription];
const GROUP: &[Scope] = &[Scope::Group];
const SUBSCRIPTION_OR_GROUP: &[Scope] = &[Scope::Subscription, Scope::Group];
const SITE: &[Scope] = &[Scope::Site];
const APP: &[Scope] = &[Scope::Site, Scope::Slot];
const ANY: &[Scope] = &[Scope::Any];

/// The first version with references of settings.
const REFERENCES: ApiVersions = SITES.since("2019-08-01");
/// The first version with App Service authentication in its second form.
const AUTHENTICATION: ApiVersions = SITES.since("2020-06-01");
/// The only documented version of the refresh, and the later ones.
const REFRESH: ApiVersions = SITES.since("2022-03-01");

/// All routes.
#[rustfmt::skip]
static ROUTES: &[Route] = &[
    route(GET, TENANT, "tenants", SUBSCRIPTIONS, subscriptions::tenants),
    route(GET, TENANT, "subscriptions", SUBSCRIPTIONS, subscriptions::list),
    route(GET, SUBSCRIPTION, "", SUBSCRIPTIONS, subscriptions::get),
    route(GET, SUBSCRIPTION, "providers", RESOURCES, providers::list),
    route(GET, SUBSCRIPTION, "providers/{}", RESOURCES, providers::get),
    route(GET, SUBSCRIPTION, "resourcegroups", RESOURCES, groups::list),
    route(GET, GROUP, "", RESOURCES, groups::get),
    route(GET, SUBSCRIPTION_OR_GROUP, "resources", RESOURCES, resources::list),
    route(GET, SUBSCRIPTION_OR_GROUP, "providers/microsoft.web/sites", SITES, sites::list),
    route(GET, SUBSCRIPTION_OR_GROUP, "providers/microsoft.web/serverfarms", PLANS, plans::list),
    route(GET, GROUP, "providers/microsoft.web/serverfarms/{}", PLANS, plans::get),
    route(GET, GROUP, "providers/microsoft.web/serverfarms/{}/sites", PLANS, plans::sites),
    route(GET, APP, "", SITES, sites::get),
    route(GET, SITE, "slots", SITES, sites::slots),
    route(POST, APP, "restart", SITES, lifecycle::restart),
    route(POST, APP, "start", SITES, lifecycle::start),
    route(POST, APP, "stop", SITES, lifecycle::stop),
    route(POST, APP, "publishxml", SITES, sites::publishing_profiles),
    route(POST, APP, "slotsswap", SITES, swap::swap),
    route(GET, APP, "operationresults/{}", SITES, swap::result),
    route(GET, APP, "config/web", SITES, site_config::get),
    route(PUT, APP, "config/web", SITES, site_config::write),
    route(PATCH, APP, "config/web", SITES, site_config::write),
    route(GET, APP, "config/authsettingsv2", AUTHENTICATION, site_config::authentication),
    route(GET, SITE, "config/slotconfignames", SITES, site_config::sticky_names),
    route(PUT, SITE, "config/slotconfignames", SITES, site_config::write_sticky_names),
    route(POST, APP, "config/appsettings/list", SITES, settings::list),
    route(PUT, APP, "config/appsettings", SITES, settings::write),
    route(POST, APP, "config/connectionstrings/list", SITES, connection_strings::list),
    route(PUT, APP, "config/connectionstrings", SITES, connection_strings::write),
    route(GET, APP, "config/configreferences/{}", REFERENCES, references::list),
    route(GET, APP, "config/configreferences/{}/{}", REFERENCES, references::get),
    route(POST, APP, "config/configreferences/{}/refresh", REFRESH, references::refresh),
    route(GET, SUBSCRIPTION, "providers/microsoft.keyvault/vaults", VAULTS, vaults::list),
    route(GET, SUBSCRIPTION, "providers/microsoft.eventgrid/systemtopics", EVENT_GRID, topics::list),
    route(GET, GROUP, "providers/microsoft.eventgrid/systemtopics/{}/eventsubscriptions", EVENT_GRID, topics::subscriptions),
    route(GET, ANY, "permissions", AUTHORIZATION, rights::permissions),
    route(GET, ANY, "roleassignments", AUTHORIZATION, rights::assignments),
    route(GET, ANY, "roledefinitions/{}", AUTHORIZATION, rights::definition),
];
