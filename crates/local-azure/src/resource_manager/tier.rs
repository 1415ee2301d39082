//! The pricing tiers, and the plan of each.

use super::state::ResourceManagerService;
use crate::apps::LocalApp;

/// The resource type of a plan.
pub(super) const TYPE: &str = "Microsoft.Web/serverfarms";

/// A pricing tier.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tier {
    /// The name of the tier, which a site has as its `sku`.
    pub(super) name: &'static str,
    pub(super) size: &'static str,
    pub(super) family: &'static str,
    /// The kind of a plan.
    pub(super) kind: &'static str,
    /// The name of the plan.
    pub(super) plan: &'static str,
}

const FUNCTION_APPS: Tier = Tier {
    name: "ElasticPremium",
    size: "EP1",
    family: "EP",
    kind: "elastic",
    plan: "local-ep1",
};
const WEB_APPS: Tier = Tier {
    name: "PremiumV3",
    size: "P1v3",
    family: "Pv3",
    kind: "linux",
    plan: "local-p1v3",
};

/// The pricing tier of an app.
pub(super) fn of(app: &LocalApp) -> &'static Tier {
    if app.kind.contains("functionapp") {
        &FUNCTION_APPS
    } else {
        &WEB_APPS
    }
}

/// The Resource Manager id of an app's plan.
pub(super) fn plan_id(manager: &ResourceManagerService, app: &LocalApp) -> String {
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/{TYPE}/{}",
        manager.subscription,
        app.resource_group,
        of(app).plan
    )
}
