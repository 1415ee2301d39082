//! Sites and their slots.

use super::bodies;
use super::request::{ManagerRequest, OperationResult, Scope};
use crate::apps::LocalApp;
use crate::paging::Keyed;
use crate::response::{self, Response};

/// Lists the sites of a scope. Only the list of a resource group has slots, on request.
pub(super) fn list(request: &ManagerRequest<'_>) -> OperationResult {
    let group = match request.target.scope {
        Scope::Group => Some(request.group()?),
        _ => None,
    };
    let includes_slots = group.is_some()
        && request
            .call
            .query
            .get("includeSlots")
            .is_some_and(|it| it.eq_ignore_ascii_case("true"));
    Ok(rows(request, |app| {
        (app.slot.is_none() || includes_slots)
            && group.is_none_or(|group| app.resource_group.eq_ignore_ascii_case(group))
    }))
}

/// Gets a site or slot.
pub(super) fn get(request: &ManagerRequest<'_>) -> OperationResult {
    Ok(response::ok(&bodies::app(request.manager, request.app()?)))
}

/// Gets the publishing profiles. They have no passwords: the stand-in deploys nothing.
pub(super) fn publishing_profiles(request: &ManagerRequest<'_>) -> OperationResult {
    let app = request.app()?;
    // Names of sites and slots need no escaping in XML.
    let name = app.short_name.replace('/', "-");
    let profile = |method: &str, url: &str| {
        format!(
            "<publishProfile profileName=\"{name} - {method}\" publishMethod=\"{method}\" \
             publishUrl=\"{url}\" msdeploySite=\"{name}\" userName=\"\" userPWD=\"\" />"
        )
    };
    let host = bodies::host_name(app);
    let profiles = [
        profile("MSDeploy", &format!("{host}:443")),
        profile("FTP", &format!("ftps://{host}/site/wwwroot")),
        profile("ZipDeploy", &format!("{host}:443")),
    ];
    let body = format!("<publishData>{}</publishData>", profiles.concat());
    Ok(response::xml(body))
}

/// Lists the slots of a site, without the production slot.
pub(super) fn slots(request: &ManagerRequest<'_>) -> OperationResult {
    let prefix = format!("{}/", request.site()?.id);
    Ok(rows(request, |app| {
        app.slot.is_some() && app.id.starts_with(&prefix)
    }))
}

/// A list of apps.
pub(super) fn rows(request: &ManagerRequest<'_>, holds: impl Fn(&LocalApp) -> bool) -> Response {
    let manager = request.manager;
    let apps = manager.apps.iter().filter(|app| holds(app));
    let rows: Vec<Keyed> = apps
        .map(|app| (app.id.to_lowercase(), bodies::app(manager, app)))
        .collect();
    manager.list(request.call, rows)
}
