//! Finds the apps that use a secret: those of the index, and those of the scopes that it does not cover,
//! page by page of the lists of sites.

use std::collections::HashSet;
use std::iter;
use std::sync::Mutex;

use futures::future::ready;
use futures::{Stream, StreamExt, stream};
use keyrelay_azure::{AzureError, Call, SitesPage};
use keyrelay_model::{AppId, Event, Reference, Target};
use keyrelay_records::{IndexedApp, RemainingSites};

use super::discovery_cache::Freshness;
use super::route::Routed;
use crate::index::{IndexedUsers, secret_of};
use crate::services::Services;

/// Largest number of sites that are read at once. More would queue for the throttle before the
/// rotations of apps that are found already.
const CONCURRENT_SITES: usize = 24;

/// Where the apps of an event come from.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// The apps that are known: those of the run, of the rule, or of the index.
    pub(crate) apps: Vec<AppId>,
    /// The lists of sites that have to be read.
    pub(crate) lists: Vec<RemainingSites>,
    /// Whether the apps are those of the index. The next sweep finds newcomers.
    pub(crate) is_by_index: bool,
    /// Apps that have no reference to the secret in connection strings, by the index.
    pub(crate) without_connection_strings: HashSet<AppId>,
    /// Whether the apps that no list has are checked too.
    is_whole: bool,
    /// Apps that the last sweep could not read: they are checked too.
    unread: Vec<AppId>,
}

/// A step of a discovery.
#[derive(Debug)]
pub(crate) enum Discovered {
    /// A page of a list of sites begins: all sites before it are discovered.
    Page(RemainingSites),
    /// All lists are read. These known apps are in none of them, and are checked now.
    Unlisted(Vec<AppId>),
    /// An app references the secret, or a rule names it.
    Uses(AppId),
    /// Azure does not list the references of an app: it may reference the secret.
    Unknown(AppId, AzureError),
    /// A list of sites cannot be read from here. The other scopes are discovered all the same.
    Failed(RemainingSites, AzureError),
}

/// An app of a page.
struct Listed {
    app: AppId,
    /// Whether it may have slots that are not in the list.
    lists_slots: bool,
}

/// The inputs of a discovery.
#[derive(Clone, Copy)]
struct Discovery<'a> {
    services: &'a Services,
    event: &'a Event,
    freshness: Freshness,
    call: &'a Call,
    /// The apps so far.
    listed: &'a Mutex<HashSet<AppId>>,
}

/// Finds out where the apps of an event come from: those of the run, else those that the rule names,
/// else those that an earlier run has left, else those of the index, else those of the scopes.
pub(crate) async fn origin(
    services: &Services,
    routed: &Routed<'_>,
    call: &Call,
    notes: &mut Vec<String>,
) -> Origin {
    let config = &services.config;
    let named = routed.named_apps();
    let left = &routed.trigger.remaining;
    let mut origin = Origin {
        apps: named.unwrap_or_default().to_vec(),
        lists: left.clone(),
        ..Origin::default()
    };
    let is_known = named.is_some() || !left.is_empty();
    if is_known && !routed.trigger.is_deduplicated() {
        return origin;
    }
    let secret = secret_of(&routed.context.event);
    let moment = call.deadline.moment();
    let known = services.index.users(&secret, &config.scope, moment).await;
    let has_connection_string =
        |user: &IndexedApp| user.references.iter().any(|it| it.is_connection_string);
    if let Ok(IndexedUsers { apps, .. }) = &known {
        let without = apps.iter().filter(|user| !has_connection_string(user));
        origin.without_connection_strings = without.map(|user| user.id.clone()).collect();
    }
    if is_known {
        return origin;
    }
    match known {
        Ok(IndexedUsers {
            apps,
            uncovered,
            unread,
        }) => {
            let apps = apps.into_iter().map(|user| user.id);
            origin.apps = apps.filter(|app| config.is_in_scope(app)).collect();
            origin.lists = uncovered.iter().map(RemainingSites::all).collect();
            origin.unread = unread;
            origin.is_by_index = true;
            notes.extend(uncovered.iter().map(|scope| {
                format!("the apps of {scope} are read, because the last sweep did not list them")
            }));
            if !origin.unread.is_empty() {
                notes.push(format!(
                    "{} apps are read, because the last sweep could not read them",
                    origin.unread.len()
                ));
            }
        }
        Err(reason) => {
            origin.lists = config.scope.iter().map(RemainingSites::all).collect();
            origin.is_whole = true;
            notes.push(format!(
                "all apps of the scope are read, because the index cannot be used: {reason}"
            ));
        }
    }
    origin
}

/// Finds the apps of an event. `listed` collects them.
pub(crate) fn discover<'a>(
    services: &'a Services,
    routed: &'a Routed<'a>,
    origin: Origin,
    listed: &'a Mutex<HashSet<AppId>>,
    call: &'a Call,
) -> impl Stream<Item = Discovered> + 'a {
    let event = &routed.context.event;
    let discovery = Discovery {
        services,
        event,
        freshness: Freshness::after(event),
        call,
        listed,
    };
    let Origin {
        apps,
        lists,
        is_whole,
        unread,
        ..
    } = origin;
    discovery.lock().extend(apps.iter().cloned());
    let unread = discovery.not_listed(unread);
    discovery.lock().extend(unread.iter().cloned());
    let known = stream::iter(apps.into_iter().map(Discovered::Uses));
    let of_scopes = stream::iter(lists).flat_map(move |scope| discovery.pages(scope));
    let unlisted = stream::once(async move {
        discovery.checks(match is_whole {
            true => discovery.unlisted().await,
            false => Vec::new(),
        })
    });
    // Before the lists: they may take all the time.
    let unread = discovery.checks(unread);
    known
        .chain(unread)
        .chain(of_scopes)
        .chain(unlisted.flatten())
}

impl<'a> Discovery<'a> {
    /// Discovers the sites of one scope, page by page.
    fn pages(self, start: RemainingSites) -> impl Stream<Item = Discovered> + 'a {
        let pages = stream::unfold(Some(start), move |position| async move {
            let position = position?;
            match self.page(&position).await {
                Ok(page) => {
                    let next = page.next.map(|next| position.after_page(next));
                    let has_slots = page.slots.is_some();
                    let sites = page.sites.into_iter().map(|site| Listed {
                        lists_slots: !has_slots && site.may_have_slots(),
                        app: site.id,
                    });
                    let slots = page.slots.into_iter().flatten().map(|slot| Listed {
                        lists_slots: false,
                        app: slot.id,
                    });
                    Some(((position, Ok(sites.chain(slots).collect())), next))
                }
                Err(error) => Some(((position, Err(error)), None)),
            }
        });
        pages.flat_map(move |(position, sites)| match sites {
            Ok(sites) => {
                let begin = stream::iter([Discovered::Page(position)]);
                begin
                    .chain(self.apps_of_all(self.not_yet_listed(sites)))
                    .boxed()
            }
            Err(error) => stream::iter([Discovered::Failed(position, error)]).boxed(),
        })
    }

    /// Reads one page of the sites of a scope.
    async fn page(self, position: &RemainingSites) -> Result<SitesPage, AzureError> {
        let azure = &self.services.resource_manager;
        let pages = &self.services.discovery.pages;
        let RemainingSites {
            scope,
            next,
            pages: number,
        } = position;
        let fetch = async {
            let page = azure
                .sites_page(scope, next.as_ref(), *number, self.call)
                .await?;
            if next.is_none() {
                // The links of an earlier list are not followed again.
                pages.retain(|of| of.scope != *scope || of.next.is_none());
            }
            Ok(page)
        };
        let is_fresh = |at: &_| self.freshness.accepts(at);
        let page = pages.of(position);
        page.get_or_fetch(self.call.deadline, is_fresh, fetch).await
    }

    /// The apps that are not discovered yet: scopes may overlap, and a page may repeat a site.
    fn not_yet_listed(self, apps: Vec<Listed>) -> Vec<Listed> {
        let mut listed = self.lock();
        let new = apps.into_iter();
        new.filter(|it| listed.insert(it.app.clone())).collect()
    }

    /// The apps that the index has for the secret and whose sites no list has: Azure's lists can be
    /// partial without an error, so a site that is missing is not gone.
    async fn unlisted(self) -> Vec<AppId> {
        let moment = self.call.deadline.moment();
        let index = &self.services.index;
        let known = index.users(&secret_of(self.event), &[], moment).await;
        let known = known.unwrap_or_default().apps.into_iter();
        self.not_listed(known.map(|user| user.id))
    }

    fn not_listed(self, apps: impl IntoIterator<Item = AppId>) -> Vec<AppId> {
        let listed = self.lock();
        let config = &self.services.config;
        let is_unlisted = |app: &AppId| config.is_in_scope(app) && !listed.contains(app);
        apps.into_iter().filter(is_unlisted).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'a, HashSet<AppId>> {
        let locked = self.listed.lock();
        locked.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Finds the apps of a page that use the secret.
    fn apps_of_all(self, listed: Vec<Listed>) -> impl Stream<Item = Discovered> + 'a {
        let apps = stream::iter(listed).map(move |listed| self.apps_of(listed));
        apps.buffer_unordered(CONCURRENT_SITES)
            .flat_map(stream::iter)
    }

    /// Finds out whether an app uses the secret, or one of its slots that are not listed with it.
    async fn apps_of(
        self,
        Listed {
            app: site,
            lists_slots,
        }: Listed,
    ) -> Vec<Discovered> {
        if !lists_slots {
            return self.check(site).await.into_iter().collect();
        }
        let slots = match self.slots(&site).await {
            Ok(slots) => slots,
            // The site was deleted after it was listed.
            Err(error) if error.is_not_found() => return Vec::new(),
            Err(error) => return vec![Discovered::Unknown(site, error)],
        };
        self.lock().extend(slots.iter().cloned());
        let mut apps = Vec::new();
        for app in iter::once(site).chain(slots) {
            apps.extend(self.check(app).await);
        }
        apps
    }

    /// Checks apps that no list has.
    fn checks(self, apps: Vec<AppId>) -> impl Stream<Item = Discovered> + 'a {
        let begin = stream::iter([Discovered::Unlisted(apps.clone())]);
        let checks = stream::iter(apps).map(move |app| self.check(app));
        let checks = checks.buffer_unordered(CONCURRENT_SITES);
        begin.chain(checks.filter_map(ready))
    }

    /// Checks whether an app uses the secret.
    async fn check(self, app: AppId) -> Option<Discovered> {
        match self.targets(&app).await {
            Ok(targets) => {
                let mut targets = targets.iter();
                let uses = targets.any(|target| target.is_of(self.event));
                uses.then_some(Discovered::Uses(app))
            }
            Err(error) if error.is_not_found() => None,
            Err(error) => Some(Discovered::Unknown(app, error)),
        }
    }

    async fn slots(self, site: &AppId) -> Result<Vec<AppId>, AzureError> {
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
    async fn targets(self, app: &AppId) -> Result<Vec<Target>, AzureError> {
        let fetch = async {
            let azure = &self.services.resource_manager;
            let rows = azure.reference_statuses(app, self.call).await?;
            let suffix = &self.services.config.cloud.vault_suffix;
            let (index, now) = (&self.services.index, self.services.now());
            index.seen(app, &rows, true, &[], suffix, now);
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
