//! Finds the apps of the scope that reference a secret, and remembers which app references what.

use futures::{StreamExt, stream};
use keyrelay_azure::{AzureError, Call, ResourceManager, Scope};
use keyrelay_model::{AppId, Event, Reference, Target};
use tokio::time::Instant;

use crate::memory::{Asked, Memories, Memory};

/// What is known of the apps in the scope.
///
/// An answer of Azure serves an event if it was asked for after the event: an app that starts to reference a secret
/// later resolves the new version then and there. So nothing is missed because of what is remembered, events that come
/// together ask once, and a delivery that runs out of time half-way leaves to the next one only the rest.
#[derive(Debug, Default)]
pub struct Discovery {
    apps: Memory<Vec<AppId>>,
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
    /// How many apps are asked at once.
    pub at_once: usize,
    /// Until when.
    pub call: &'a Call,
}

/// The answer: every app of the scope that matters for the event.
#[derive(Debug, Default)]
pub struct Found {
    /// The apps, and slots of apps, that reference the secret.
    pub using: Vec<AppId>,
    /// Those of which nobody can tell, and why.
    pub unknown: Vec<(AppId, AzureError)>,
}

impl Discovery {
    /// Finds the apps that reference the event's secret.
    pub async fn find(&self, question: &Question<'_>) -> Result<Found, AzureError> {
        let serves = |asked: &Asked| question.is_served_by(asked);
        let apps = self.apps.recall(serves, apps_in_scope(question)).await?;
        let asked = stream::iter(apps).map(|app| async move {
            let targets = self.targets.of(&app).recall(serves, targets_of(&app, question)).await;
            (app, targets)
        });
        let answers: Vec<_> = asked.buffer_unordered(question.at_once).collect().await;
        let mut found = Found::default();
        for (app, targets) in answers {
            match targets {
                Ok(targets) if targets.iter().any(|target| target.is_of(question.event)) => found.using.push(app),
                Ok(_) => {}
                // Deleted between the two questions.
                Err(error) if error.is_not_found() => {}
                Err(error) => found.unknown.push((app, error)),
            }
        }
        found.using.sort();
        Ok(found)
    }
}

/// All sites of the scope with all their slots.
async fn apps_in_scope(question: &Question<'_>) -> Result<Vec<AppId>, AzureError> {
    let Question { scope, azure, at_once, call, .. } = *question;
    let mut apps = Vec::new();
    for scope in scope {
        let sites = azure.sites(scope, call).await?;
        apps.extend(sites.into_iter().map(|site| site.id));
    }
    let slots = stream::iter(apps.clone()).map(|app| async move { azure.slots(&app, call).await });
    let mut slots = slots.buffer_unordered(at_once);
    while let Some(answer) = slots.next().await {
        match answer {
            Ok(slots) => apps.extend(slots.into_iter().map(|slot| slot.id)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    apps.sort();
    apps.dedup();
    Ok(apps)
}

/// What an app references, told without any of its plain-text settings.
async fn targets_of(app: &AppId, question: &Question<'_>) -> Result<Vec<Target>, AzureError> {
    let rows = question.azure.reference_statuses(app, question.call).await?;
    let references = rows.iter().filter_map(|row| Reference::parse(&row.reference, question.vault_suffix).ok());
    Ok(references.map(|reference| reference.target().clone()).collect())
}

impl Question<'_> {
    /// Whether an answer that was asked for then serves the event: it was asked for after the event, by our own clock or,
    /// as the event's time is cut to the second, in a later second.
    fn is_served_by(&self, asked: &Asked) -> bool {
        asked.moment >= self.arrived || asked.second > self.event.time
    }
}
