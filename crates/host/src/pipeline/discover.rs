//! Finds the apps of the scope that reference a secret.

use std::iter;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use keyrelay_azure::{AzureError, Call};
use keyrelay_model::{AppId, Event, Reference, Target};

use super::discovery_cache::Freshness;
use super::route::Routed;
use super::time_budget::TimeBudget;
use crate::services::Services;

/// Largest number of sites that are read at once. More would queue for the throttle before the
/// rotations of apps that are found already.
const CONCURRENT_SITES: usize = 24;

/// An app that may use the secret.
#[derive(Debug)]
pub(crate) enum DiscoveredApp {
    /// It references the secret, or a rule names it.
    Uses(AppId),
    /// Azure does not list its references: it may reference the secret.
    Unknown(AppId, AzureError),
}

/// The inputs of a discovery.
struct Discovery<'a> {
    services: &'a Services,
    event: &'a Event,
    freshness: Freshness,
    call: &'a Call,
}

/// Finds the apps of an event: those of the run, else those that the rule names, else those in the
/// scope that reference the secret, site by site.
///
/// The stream ends with an error if the list of sites cannot be read within its part of the budget.
pub(crate) fn discover<'a>(
    services: &'a Services,
    routed: &'a Routed<'a>,
    budget: TimeBudget,
    call: &'a Call,
) -> impl Stream<Item = Result<DiscoveredApp, AzureError>> + 'a {
    if let Some(apps) = routed.named_apps() {
        let apps = apps.iter().cloned();
        return stream::iter(apps.map(|app| Ok(DiscoveredApp::Uses(app)))).boxed();
    }
    let event = &routed.context.event;
    let discovery = Discovery {
        services,
        event,
        freshness: Freshness::after(event),
        call,
    };
    let sites = async move {
        let sites = discovery.sites(budget).await?;
        let apps = stream::iter(sites.into_iter().map(Ok))
            .map_ok(move |site| {
                let discovery = Discovery { ..discovery };
                async move { discovery.apps_of(site).await }
            })
            .try_buffer_unordered(CONCURRENT_SITES)
            .map_ok(|apps| stream::iter(apps.into_iter().map(Ok)))
            .try_flatten();
        Ok(apps)
    };
    stream::once(sites).try_flatten().boxed()
}

impl Discovery<'_> {
    /// Lists the sites of the scope, without their slots.
    async fn sites(&self, budget: TimeBudget) -> Result<Vec<AppId>, AzureError> {
        let call = Call {
            deadline: budget.sites(),
            log: self.call.log.clone(),
        };
        let fetch = async {
            let mut sites = Vec::new();
            for scope in &self.services.config.scope {
                let listed = self.services.resource_manager.sites(scope, &call).await?;
                sites.extend(listed.into_iter().map(|site| site.id));
            }
            sites.sort();
            sites.dedup();
            Ok(sites)
        };
        let is_fresh = |at: &_| self.freshness.accepts(at);
        let sites = &self.services.discovery.sites;
        sites.get_or_fetch(call.deadline, is_fresh, fetch).await
    }

    /// Finds the apps of one site that use the secret: the site itself and its slots.
    async fn apps_of(&self, site: AppId) -> Result<Vec<DiscoveredApp>, AzureError> {
        let slots = match self.slots(&site).await {
            Ok(slots) => slots,
            // The site was deleted after it was listed.
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Ok(vec![DiscoveredApp::Unknown(site, error)]),
        };
        let mut apps = Vec::new();
        for app in iter::once(site).chain(slots) {
            match self.targets(&app).await {
                Ok(targets) if targets.iter().any(|target| target.is_of(self.event)) => {
                    apps.push(DiscoveredApp::Uses(app));
                }
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => apps.push(DiscoveredApp::Unknown(app, error)),
            }
        }
        Ok(apps)
    }

    async fn slots(&self, site: &AppId) -> Result<Vec<AppId>, AzureError> {
        let fetch = async {
            let slots = self
                .services
                .resource_manager
                .slots(site, self.call)
                .await?;
            Ok(slots.into_iter().map(|slot| slot.id).collect())
        };
        let is_fresh = |at: &_| self.freshness.accepts(at);
        let slots = self.services.discovery.slots.of(site);
        slots
            .get_or_fetch(self.call.deadline, is_fresh, fetch)
            .await
    }

    /// Reads the secrets that an app references, without any of its plain-text settings.
    async fn targets(&self, app: &AppId) -> Result<Vec<Target>, AzureError> {
        let fetch = async {
            let azure = &self.services.resource_manager;
            let rows = azure.reference_statuses(app, self.call).await?;
            let suffix = &self.services.config.cloud.vault_suffix;
            let references = rows
                .iter()
                .filter_map(|row| Reference::parse(&row.reference, suffix).ok());
            Ok(references
                .map(|reference| reference.target().clone())
                .collect())
        };
        let is_fresh = |at: &_| self.freshness.accepts(at);
        let targets = self.services.discovery.targets.of(app);
        targets
            .get_or_fetch(self.call.deadline, is_fresh, fetch)
            .await
    }
}
