//! The SKU of an app, which is the pricing tier of its plan.

use serde::Deserialize;

/// The SKU, as Resource Manager writes it in `properties.sku` of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Sku {
    /// No slots.
    Free,
    /// No slots.
    Shared,
    /// No slots.
    Basic,
    /// Up to 5 slots.
    Standard,
    /// Up to 20 slots.
    PremiumV3,
    /// The consumption plan: one slot beside the production slot.
    Dynamic,
    /// No slots.
    FlexConsumption,
    /// Up to 3 slots.
    ElasticPremium,
}

impl Sku {
    /// Whether an app may have slots beside the production slot
    /// (learn.microsoft.com/azure/azure-functions/functions-deployment-slots).
    pub(crate) fn has_slots(self) -> bool {
        !matches!(
            self,
            Self::Free | Self::Shared | Self::Basic | Self::FlexConsumption
        )
    }

    /// The SKU of a site of this kind whose world names none.
    pub(crate) fn of_kind(kind: &str) -> Self {
        match kind.contains("functionapp") {
            true => Self::ElasticPremium,
            false => Self::PremiumV3,
        }
    }
}
