//! The pricing tiers, and the plan of each.

use super::state::ResourceManagerService;
use crate::apps::LocalApp;
use crate::sku::Sku;

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

const fn tier(
    name: &'static str,
    size: &'static str,
    family: &'static str,
    kind: &'static str,
    plan: &'static str,
) -> Tier {
    Tier {
        name,
        size,
        family,
        kind,
        plan,
    }
}

const FREE: Tier = tier("Free", "F1", "F", "linux", "local-f1");
const SHARED: Tier = tier("Shared", "D1", "D", "app", "local-d1");
const BASIC: Tier = tier("Basic", "B1", "B", "linux", "local-b1");
const STANDARD: Tier = tier("Standard", "S1", "S", "linux", "local-s1");
const PREMIUM_V3: Tier = tier("PremiumV3", "P1v3", "Pv3", "linux", "local-p1v3");
const DYNAMIC: Tier = tier("Dynamic", "Y1", "Y", "functionapp", "local-y1");
const FLEX_CONSUMPTION: Tier = tier("FlexConsumption", "FC1", "FC", "functionapp", "local-fc1");
const ELASTIC_PREMIUM: Tier = tier("ElasticPremium", "EP1", "EP", "elastic", "local-ep1");

/// The pricing tier of an app.
pub(super) fn of(app: &LocalApp) -> &'static Tier {
    match app.sku {
        Sku::Free => &FREE,
        Sku::Shared => &SHARED,
        Sku::Basic => &BASIC,
        Sku::Standard => &STANDARD,
        Sku::PremiumV3 => &PREMIUM_V3,
        Sku::Dynamic => &DYNAMIC,
        Sku::FlexConsumption => &FLEX_CONSUMPTION,
        Sku::ElasticPremium => &ELASTIC_PREMIUM,
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
