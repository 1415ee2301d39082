//! A request to Resource Manager with its target.

use std::sync::Arc;

use super::refusal::ResourceManagerRefusal;
use super::state::ResourceManagerService;
use crate::apps::LocalApp;
use crate::call::ServiceCall;
use crate::response::Response;

/// The outcome of an operation.
pub(super) type OperationResult = Result<Response, ResourceManagerRefusal>;

/// The kind of resource that the path of an operation begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// No resource.
    Tenant,
    Subscription,
    Group,
    Site,
    Slot,
    /// Any resource, for the operations of Microsoft.Authorization.
    Any,
}

/// The target of a request: the resource that its path begins with, and the rest of the path. All
/// parts are in lower case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) scope: Scope,
    pub(super) subscription: Option<&'a str>,
    group: Option<&'a str>,
    site: Option<&'a str>,
    slot: Option<&'a str>,
    /// The path after the subscription.
    pub(super) in_subscription: &'a [&'a str],
    /// The path after the resource.
    pub(super) rest: &'a [&'a str],
}

impl<'a> Target<'a> {
    /// The target of a path in lower case.
    pub(super) fn of(path: &'a [&'a str]) -> Self {
        let tenant = Self {
            scope: Scope::Tenant,
            subscription: None,
            group: None,
            site: None,
            slot: None,
            in_subscription: path,
            rest: path,
        };
        let ["subscriptions", subscription, rest @ ..] = path else {
            return tenant;
        };
        let in_subscription = Self {
            scope: Scope::Subscription,
            subscription: Some(subscription),
            in_subscription: rest,
            rest,
            ..tenant
        };
        if let Some(at) = rest.iter().rposition(|part| *part == "providers")
            && let Some(["providers", "microsoft.authorization", rest @ ..]) = rest.get(at..)
        {
            let scope = Scope::Any;
            return Self {
                scope,
                rest,
                ..in_subscription
            };
        }
        match rest {
            ["resourcegroups", group, rest @ ..] => Self {
                scope: Scope::Group,
                group: Some(group),
                rest,
                ..in_subscription
            }
            .in_group(rest),
            _ => in_subscription,
        }
    }

    /// The target of the path after a resource group.
    fn in_group(self, path: &'a [&'a str]) -> Self {
        match path {
            [
                "providers",
                "microsoft.web",
                "sites",
                site,
                "slots",
                slot,
                rest @ ..,
            ] => Self {
                scope: Scope::Slot,
                site: Some(site),
                slot: Some(slot),
                rest,
                ..self
            },
            ["providers", "microsoft.web", "sites", site, rest @ ..] => Self {
                scope: Scope::Site,
                site: Some(site),
                rest,
                ..self
            },
            _ => self,
        }
    }
}

/// A request with its target.
#[derive(Clone, Copy)]
pub(super) struct ManagerRequest<'a> {
    pub(super) manager: &'a ResourceManagerService,
    pub(super) call: &'a ServiceCall,
    pub(super) caller: &'a str,
    pub(super) target: Target<'a>,
}

impl<'a> ManagerRequest<'a> {
    /// A part of the path after the target, in lower case.
    pub(super) fn part(&self, at: usize) -> &'a str {
        self.target.rest.get(at).copied().unwrap_or_default()
    }

    /// The original name of the resource group.
    pub(super) fn group(&self) -> Result<&'a str, ResourceManagerRefusal> {
        let name = self.target.group.unwrap_or_default();
        self.manager.group_named(name)
    }

    /// The site, also for a request to one of its slots.
    pub(super) fn site(&self) -> Result<&'a Arc<LocalApp>, ResourceManagerRefusal> {
        self.app_named(self.target.site.unwrap_or_default())
    }

    /// A slot of the site.
    pub(super) fn slot(&self, slot: &str) -> Result<&'a Arc<LocalApp>, ResourceManagerRefusal> {
        let site = self.site()?;
        self.app_named(&format!("{}/{slot}", site.short_name))
    }

    /// The site or slot.
    pub(super) fn app(&self) -> Result<&'a Arc<LocalApp>, ResourceManagerRefusal> {
        match self.target.slot {
            Some(slot) => self.slot(slot),
            None => self.site(),
        }
    }

    fn app_named(&self, name: &str) -> Result<&'a Arc<LocalApp>, ResourceManagerRefusal> {
        let group = self.group()?;
        let app = self.manager.apps.named(name);
        app.filter(|app| app.resource_group.eq_ignore_ascii_case(group))
            .ok_or_else(|| ResourceManagerRefusal::NoResource {
                resource: format!("Microsoft.Web/sites/{}", name.replacen('/', "/slots/", 1)),
                group: group.to_owned(),
            })
    }
}
