//! Compares what apps reference with what vaults have: what an event was missed for is repaired, and what expires soon is
//! found.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_azure::{AzureError, Call, Progress, ReferenceStatus};
use keyrelay_model::{
    AppId, Event, ObjectKind, Occurrence, Reference, SecretVersion, Target, VersionAttributes,
    Versions,
};

use super::reminders::{self, Expiring};
use super::{Pass, Summary};
use crate::admit::known_versions;
use crate::config::Mode;
use crate::outcome::chain;
use crate::pending::{Entry, OpenWork, Work};
use crate::record::Cause;
use crate::relay::Trigger;
use crate::route::route;

/// How many sites are looked at before the clock is.
const CHUNK: usize = 100;

/// A secret, in a text that compares as secrets do.
type SecretKey = String;

/// What one comparison has learnt about secrets, and done about them.
#[derive(Default)]
struct Known {
    versions: HashMap<SecretKey, Arc<Versions>>,
    reminded: HashSet<SecretKey>,
    /// Open work, by app and secret.
    open: HashSet<(String, SecretKey)>,
}

/// Apps that are behind, and the event that they seem to have missed.
struct Missed {
    event: Event,
    apps: Vec<AppId>,
}

impl Pass<'_> {
    /// Compares all apps, from the site after `after`. Returns where to go on when the time was over; none at all if nothing
    /// could be compared.
    pub(super) async fn compare(
        &self,
        after: Option<String>,
        summary: &mut Summary,
    ) -> Option<Option<String>> {
        let sites = match self.sites().await {
            Ok(sites) => sites,
            Err(error) => {
                summary.problem(format!(
                    "apps cannot be compared with their vaults: {}",
                    chain(&error)
                ));
                return None;
            }
        };
        let place = |site: &AppId| site.to_string().to_lowercase();
        let left: Vec<AppId> = sites
            .into_iter()
            .filter(|site| after.as_ref().is_none_or(|after| place(site) > *after))
            .collect();
        let mut known = Known {
            open: self.open_work(summary).await?,
            ..Known::default()
        };
        let mut compared = 0;
        let mut last = after;
        for chunk in left.chunks(CHUNK) {
            if self.deadline.has_passed() {
                summary.compared = Some(compared);
                return Some(last);
            }
            let Some(apps) = self.with_slots(chunk, summary).await else {
                // There was no time for the whole chunk: the next invocation begins with it.
                summary.compared = Some(compared);
                return Some(last);
            };
            compared += apps.len();
            let missed = self.behind(apps, &mut known, summary).await;
            for Missed { event, apps } in missed {
                summary.drifted += apps.len();
                let trigger = Trigger {
                    invocation: self.invocation.to_owned(),
                    cause: Cause::Drift,
                    of: None,
                    apps: Some(apps),
                    carried: None,
                };
                self.relay
                    .run(trigger, Ok(event), self.run_deadline())
                    .await;
            }
            last = chunk.last().map(place);
        }
        summary.compared = Some(compared);
        Some(None)
    }

    /// Which apps have open work about which secret: the timer goes on with that, at its own pace.
    async fn open_work(&self, summary: &mut Summary) -> Option<HashSet<(String, SecretKey)>> {
        let read = async {
            let mut open = HashSet::new();
            for key in self.relay.pending.open_work().await? {
                let entry: Option<Entry<OpenWork>> = self.relay.pending.read(&key).await?;
                let Some(OpenWork { app, works }) = entry.map(|entry| entry.value) else {
                    continue;
                };
                let secret = |work: &Work| {
                    format!("{}/{}", work.event.vault_host, work.event.name).to_lowercase()
                };
                open.extend(works.iter().map(|work| (app.to_lowercase(), secret(work))));
            }
            Ok::<_, keyrelay_store::StoreError>(open)
        };
        match read.await {
            Ok(open) => Some(open),
            Err(error) => {
                summary.problem(format!(
                    "apps cannot be compared with their vaults: {}",
                    chain(&error)
                ));
                None
            }
        }
    }

    /// The sites of the scope and those that rules name, in order.
    async fn sites(&self) -> Result<Vec<AppId>, AzureError> {
        let call = Call::until(self.deadline);
        let mut sites = Vec::new();
        for scope in &self.relay.config.scope {
            sites.extend(
                self.relay
                    .resource_manager
                    .sites(scope, &call)
                    .await?
                    .into_iter()
                    .map(|site| site.id),
            );
        }
        sites.extend(
            self.relay
                .config
                .rules
                .iter()
                .flat_map(|rule| rule.apps.iter().cloned()),
        );
        sites.sort_by_cached_key(|site| site.to_string().to_lowercase());
        sites.dedup();
        Ok(sites)
    }

    /// Sites and their slots, each with the statuses of its references. None: there was no time for all.
    async fn with_slots(
        &self,
        sites: &[AppId],
        summary: &mut Summary,
    ) -> Option<Vec<(AppId, Vec<ReferenceStatus>)>> {
        let at_once = self.relay.config.apps_at_once;
        let azure = &self.relay.resource_manager;
        let call = Call::until(self.deadline);
        let slots = stream::iter(sites.to_vec()).map(|site| {
            let call = &call;
            async move {
                if site.slot().is_some() {
                    Ok(Vec::new())
                } else {
                    azure.slots(&site, call).await
                }
            }
        });
        let mut apps = sites.to_vec();
        for slots in slots.buffer_unordered(at_once).collect::<Vec<_>>().await {
            match slots {
                Ok(slots) => apps.extend(slots.into_iter().map(|slot| slot.id)),
                Err(error) if error.is_not_found() => {}
                Err(error) if error.is_deadline_exceeded() => return None,
                Err(error) => summary.problem(chain(&error)),
            }
        }
        apps.sort_by_cached_key(|app| app.to_string().to_lowercase());
        apps.dedup();
        apps.retain(|app| self.relay.own_app.as_ref() != Some(app));
        let statuses = stream::iter(apps).map(|app| {
            let call = &call;
            async move { (azure.reference_statuses(&app, call).await, app) }
        });
        let mut found = Vec::new();
        for (statuses, app) in statuses.buffer_unordered(at_once).collect::<Vec<_>>().await {
            match statuses {
                Ok(statuses) => found.push((app, statuses)),
                Err(error) if error.is_not_found() => {}
                Err(error) if error.is_deadline_exceeded() => return None,
                Err(error) => summary.problem(chain(&error)),
            }
        }
        Some(found)
    }

    /// The events that these apps seem to have missed. Sees to reminders on the way.
    async fn behind(
        &self,
        apps: Vec<(AppId, Vec<ReferenceStatus>)>,
        known: &mut Known,
        summary: &mut Summary,
    ) -> Vec<Missed> {
        let suffix = &self.relay.config.cloud.vault_suffix;
        let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
        let mut missed: BTreeMap<SecretKey, Missed> = BTreeMap::new();
        for (app, statuses) in apps {
            for row in statuses {
                let Ok(reference) = Reference::parse(&row.reference, suffix) else {
                    continue;
                };
                let target = reference.target();
                if !self.is_watched(target, &app) {
                    continue;
                }
                let key = format!("{}/{}", target.vault_host, target.secret).to_lowercase();
                if !known.versions.contains_key(&key) {
                    let versions = known_versions(
                        self.relay,
                        &target.vault_host,
                        &target.secret,
                        &Call::until(self.run_deadline()),
                    )
                    .await;
                    known.versions.insert(key.clone(), versions);
                }
                let Some(versions) = known.versions.get(&key) else {
                    continue;
                };
                let newest = versions.newest(now);
                let Some((version, attributes)) = newest.first().copied() else {
                    continue;
                };
                if known.reminded.insert(key.clone()) {
                    self.remind(target, version, attributes, now, summary).await;
                }
                let is_open = known
                    .open
                    .contains(&(app.to_string().to_lowercase(), key.clone()));
                if !is_open && is_behind(&row, target, versions, &newest) {
                    let missed = missed.entry(key).or_insert_with(|| Missed {
                        event: event(target, version, attributes, newest.len() == 1),
                        apps: Vec::new(),
                    });
                    if missed.apps.last() != Some(&app) {
                        missed.apps.push(app.clone());
                    }
                }
            }
        }
        missed.into_values().collect()
    }

    /// Whether events of the secret would be handled for the app.
    fn is_watched(&self, target: &Target, app: &AppId) -> bool {
        let config = &self.relay.config;
        let vault = target.vault_host.vault();
        let is_allowed =
            config.vaults.is_empty() || config.vaults.iter().any(|allowed| allowed == vault);
        let route = route(config, &self.relay.shelf.names(), &target.secret);
        let is_named = route
            .rule
            .is_none_or(|rule| rule.apps.is_empty() || rule.apps.contains(app));
        is_allowed && is_named && route.mode != Mode::Off
    }

    async fn remind(
        &self,
        target: &Target,
        version: &SecretVersion,
        attributes: &VersionAttributes,
        now: u64,
        summary: &mut Summary,
    ) {
        let Some(expires) = attributes.expires else {
            return;
        };
        let expiring = Expiring {
            vault_host: target.vault_host.clone(),
            secret: target.secret.clone(),
            version: version.clone(),
            expires,
        };
        match reminders::remind(&self.relay.store, &self.relay.pending, &expiring, now).await {
            Ok(true) => summary.reminders += 1,
            Ok(false) => {}
            Err(error) => summary.problem(chain(&error)),
        }
    }
}

/// Whether a reference is behind the newest versions of its secret. Where Azure does not say which version is active, or
/// says that the reference does not work at all, a repair would be a guess: the latter is for people.
fn is_behind(
    row: &ReferenceStatus,
    target: &Target,
    versions: &Versions,
    newest: &[(&SecretVersion, &VersionAttributes)],
) -> bool {
    let is_newest = |version: &SecretVersion| newest.iter().any(|(newest, _)| *newest == version);
    let is_older = |version: &SecretVersion| {
        let created = versions.get(version).map(|attributes| attributes.created);
        let latest = newest.first().map(|(_, attributes)| attributes.created);
        // A version that the list does not have any more is older than all that it has.
        created.is_none_or(|created| Some(created) < latest)
    };
    match (&target.version, &row.active_version) {
        (Some(pinned), _) => !is_newest(pinned) && is_older(pinned),
        (None, Some(active)) => {
            row.status.progress() == Progress::Resolved && !is_newest(active) && is_older(active)
        }
        (None, None) => row.status.progress() == Progress::InProgress,
    }
}

/// The event that an app must have missed.
///
/// It happened within the second of the version's making. Of several versions of that second the vault does not say which is
/// the newest: then any event of another one shall come after this.
fn event(
    target: &Target,
    version: &SecretVersion,
    attributes: &VersionAttributes,
    is_only: bool,
) -> Event {
    Event {
        id: format!("missed-{version}"),
        vault_host: target.vault_host.clone(),
        kind: ObjectKind::Secret,
        name: target.secret.clone(),
        occurrence: Occurrence::NewVersionCreated,
        version: Some(version.clone()),
        time: attributes.created,
        nanoseconds: if is_only { 999_999_999 } else { 0 },
        not_before: attributes.not_before,
        expires: attributes.expires,
    }
}
