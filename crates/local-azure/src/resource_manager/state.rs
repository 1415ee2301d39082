//! The state of Resource Manager.

use std::sync::{Arc, Mutex, PoisonError};

use super::event_subscription::ListedSubscription;
use super::rate_limits::RateLimits;
use crate::apps::Apps;
use crate::azure_cloud::AzureCloud;
use crate::call::ServiceCall;
use crate::identity::Identities;
use crate::paging::{Keyed, page};
use crate::profile::Profile;
use crate::response::{self, Response};
use crate::vaults::Vaults;
use crate::world::{Role, World};

/// Resource Manager of one subscription.
pub(crate) struct ResourceManagerService {
    pub(super) subscription: String,
    pub(super) tenant: String,
    pub(super) cloud: AzureCloud,
    pub(super) options: ResourceManagerOptions,
    pub(super) apps: Arc<Apps>,
    pub(super) vaults: Arc<Vaults>,
    pub(super) identities: Arc<Identities>,
    pub(super) rate_limits: RateLimits,
    pub(super) roles: Vec<Role>,
    event_subscriptions: Mutex<Vec<ListedSubscription>>,
}

/// The options of Resource Manager.
#[derive(Debug, Clone)]
pub(crate) struct ResourceManagerOptions {
    /// The number of items on a page.
    pub(crate) page_size: usize,
    /// The behaviour of references.
    pub(crate) profile: Profile,
    /// Whether the rate limits are enforced.
    pub(crate) limits_requests: bool,
}

impl ResourceManagerService {
    pub(crate) fn new(
        world: &World,
        options: ResourceManagerOptions,
        apps: Arc<Apps>,
        vaults: Arc<Vaults>,
        identities: Arc<Identities>,
    ) -> Self {
        Self {
            subscription: world.subscription.clone(),
            tenant: world.tenant.clone(),
            cloud: world.cloud,
            rate_limits: RateLimits::new(options.limits_requests),
            options,
            apps,
            vaults,
            identities,
            roles: world.roles.clone(),
            event_subscriptions: Mutex::default(),
        }
    }

    /// Whether a subscription exists: that of the world, or one that has a vault.
    pub(super) fn has_subscription(&self, id: &str) -> bool {
        self.subscriptions()
            .any(|subscription| subscription.eq_ignore_ascii_case(id))
    }

    /// The ids of all subscriptions, with repetitions.
    pub(super) fn subscriptions(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.subscription.as_str()).chain(self.vaults.subscriptions())
    }

    /// Adds an event subscription to the listings.
    pub(crate) fn add_event_subscription(&self, subscription: ListedSubscription) {
        self.event_subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(subscription);
    }

    /// All listed event subscriptions.
    pub(super) fn event_subscriptions(&self) -> Vec<ListedSubscription> {
        self.event_subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// One page of a list.
    pub(super) fn list(&self, call: &ServiceCall, items: Vec<Keyed>) -> Response {
        self.list_of(call, items, self.options.page_size.max(1))
    }

    /// One page of a list, with at most `size` items.
    pub(super) fn list_of(&self, call: &ServiceCall, items: Vec<Keyed>, size: usize) -> Response {
        response::ok(&page(call, items, size))
    }
}
