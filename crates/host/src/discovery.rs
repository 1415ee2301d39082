//! Finds the apps of the scope that reference a secret, and remembers which app references what.

use futures::{Stream, TryStreamExt, stream};
use keyrelay_azure::{AzureError, Call, ResourceManager, Scope};
use keyrelay_model::{AppId, Event, Reference, Target};
use tokio::time::Instant;

use crate::memory::{Asked, Memories, Memory};

/// How many sites are looked at at once. More would wait for the rate of requests, and have those wait that are found.
const AT_ONCE: usize = 24;

/// What is known of the apps in the scope.
///
/// An answer of Azure serves an event if it was asked for after the event: an app that starts to reference a secret
/// later resolves the new version then and there. So nothing is missed because of what is remembered, events that come
/// together ask once, and a delivery that runs out of time half-way leaves to the next one only the rest.
#[derive(Debug, Default)]
pub struct Discovery {
    sites: Memory<Vec<AppId>>,
    slots: Memories<AppId, Vec<AppId>>,
    targets: Memories<AppId, Vec<Target>>,
}

/// What is asked about one event.
#[derive(Debug)]
pub struct Question<'a> {
    /// The event.
    pub event: &'a Event,
    /// When it came in.
    pub arrived: Instant,
    /// Where to look.
    pub scope: &'a [Scope],
    /// Whom to ask.
    pub azure: &'a ResourceManager,
    /// How the hosts of vaults end.
    pub vault_suffix: &'a str,
    /// Until when.
    pub call: &'a Call,
}

/// An app of the scope that matters for the event.
#[derive(Debug)]
pub enum Found {
    /// An app, or a slot of one, that references the secret.
    Using(AppId),
    /// One that Azure says nothing about: it may reference the secret.
    Unknown(AppId, AzureError),
}

impl Discovery {
    /// Finds the apps that reference the event's secret, site after site. An error is one that kept all from being found.
    pub fn find<'a>(
        &'a self,
        question: &'a Question<'a>,
    ) -> impl Stream<Item = Result<Found, AzureError>> + 'a {
        let each = |found: Vec<Found>| stream::iter(found.into_iter().map(Ok));
        let sites = async move {
            let sites = self
                .sites
                .recall(
                    |asked| question.is_served_by(asked),
                    sites_in_scope(question),
                )
                .await?;
            Ok(stream::iter(sites.into_iter().map(Ok)))
        };
        let sites = stream::once(sites).try_flatten();
        sites
            .map_ok(|site| self.look_at(site, question))
            .try_buffer_unordered(AT_ONCE)
            .map_ok(each)
            .try_flatten()
    }

    /// What matters of a site and its slots.
    async fn look_at(
        &self,
        site: AppId,
        question: &Question<'_>,
    ) -> Result<Vec<Found>, AzureError> {
        let Question { azure, call, .. } = *question;
        let serves = |asked: &Asked| question.is_served_by(asked);
        let slots = async {
            Ok(azure
                .slots(&site, call)
                .await?
                .into_iter()
                .map(|slot| slot.id)
                .collect())
        };
        let slots: Vec<AppId> = match self.slots.of(&site).recall(serves, slots).await {
            Ok(slots) => slots,
            // Deleted since it was listed.
            Err(error) if AzureError::is_not_found(&error) => return Ok(Vec::new()),
            Err(error) => return Ok(vec![Found::Unknown(site, error)]),
        };
        let mut found = Vec::new();
        for app in std::iter::once(site).chain(slots) {
            match self
                .targets
                .of(&app)
                .recall(serves, targets_of(&app, question))
                .await
            {
                Ok(targets) if targets.iter().any(|target| target.is_of(question.event)) => {
                    found.push(Found::Using(app));
                }
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => found.push(Found::Unknown(app, error)),
            }
        }
        Ok(found)
    }
}

/// All sites of the scope, without their slots.
async fn sites_in_scope(question: &Question<'_>) -> Result<Vec<AppId>, AzureError> {
    let mut sites = Vec::new();
    for scope in question.scope {
        sites.extend(
            question
                .azure
                .sites(scope, question.call)
                .await?
                .into_iter()
                .map(|site| site.id),
        );
    }
    sites.sort();
    sites.dedup();
    Ok(sites)
}

/// What an app references, told without any of its plain-text settings.
async fn targets_of(app: &AppId, question: &Question<'_>) -> Result<Vec<Target>, AzureError> {
    let rows = question
        .azure
        .reference_statuses(app, question.call)
        .await?;
    let references = rows
        .iter()
        .filter_map(|row| Reference::parse(&row.reference, question.vault_suffix).ok());
    Ok(references
        .map(|reference| reference.target().clone())
        .collect())
}

impl Question<'_> {
    /// Whether an answer that was asked for then serves the event: it was asked for after the event, by our own clock or,
    /// as the event's time is cut to the second, in a later second.
    fn is_served_by(&self, asked: &Asked) -> bool {
        asked.moment >= self.arrived || asked.second > self.event.time
    }
}
