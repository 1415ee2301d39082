//! Finds the apps of the scope that reference a secret, and remembers which app references what.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_azure::{AzureError, Call, ResourceManager, Scope};
use keyrelay_model::{AppId, Event, Reference, Target};
use tokio::time::Instant;

/// What is known of the apps in the scope.
///
/// An answer of Azure serves an event if it was asked for after the event: an app that starts to reference a secret
/// later resolves the new version then and there. So nothing is missed because of what is remembered, events that come
/// together ask once, and a delivery that runs out of time half-way leaves to the next one only the rest.
#[derive(Debug, Default)]
pub struct Discovery {
    apps: Memory<Vec<AppId>>,
    targets: Mutex<HashMap<AppId, Arc<Memory<Vec<Target>>>>>,
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
        let apps = self.apps.recall(question, apps_in_scope(question)).await?;
        let asked = stream::iter(apps).map(|app| async move {
            let memory = self.memory_of(&app);
            let targets = memory.recall(question, targets_of(&app, question)).await;
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

    fn memory_of(&self, app: &AppId) -> Arc<Memory<Vec<Target>>> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(targets.entry(app.clone()).or_default())
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

/// One answer of Azure.
#[derive(Debug)]
struct Memory<T>(tokio::sync::Mutex<Option<Known<T>>>);

#[derive(Debug)]
struct Known<T> {
    answer: T,
    /// When it was asked for, by our own clock for events that came in since, and in seconds since 1970 for others.
    asked: Instant,
    asked_at: u64,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self(tokio::sync::Mutex::new(None))
    }
}

impl<T: Clone> Memory<T> {
    /// Returns what is known, if it serves the event, or asks. Others who want to know wait meanwhile.
    async fn recall(
        &self,
        question: &Question<'_>,
        ask: impl Future<Output = Result<T, AzureError>>,
    ) -> Result<T, AzureError> {
        let mut known = self.0.lock().await;
        if let Some(known) = known.as_ref().filter(|known| known.serves(question)) {
            return Ok(known.answer.clone());
        }
        let asked = Instant::now();
        let asked_at = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
        let answer = ask.await?;
        *known = Some(Known { answer: answer.clone(), asked, asked_at });
        Ok(answer)
    }
}

impl<T> Known<T> {
    fn serves(&self, question: &Question<'_>) -> bool {
        // The event's time is cut to the second: only a later second is surely later.
        self.asked >= question.arrived || self.asked_at > question.event.time
    }
}
