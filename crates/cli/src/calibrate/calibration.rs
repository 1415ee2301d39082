//! The order of the calls.
//!
//! A row that is broken by a disabled version and resolves again after an enabled one shows the
//! effect of a refresh even if Azure names no active version.

use serde_json::Value;
use tokio::time::Instant;

use super::measurement::{Measurement, Pace, RefreshEffect, Version, Watched};
use super::operation::{App, Operation};
use super::rows::{self, Goal, Row};
use super::session::{ATTEMPTS, Interrupted, PAUSE, Rows, Session, Set};
use crate::out;

/// The number of refreshes for one change: a first one that does not take is followed by another.
const REFRESHES: usize = 2;

/// The sentence about a secret that refuses new versions.
const NOT_SET: &str = "The secret cannot be set, so it was not changed.";

/// The measurements of one site.
pub(super) struct Calibration {
    pub(super) session: Session,
    pub(super) pace: Pace,
    pub(super) seen: Observations,
    site_rows: Option<Vec<Row>>,
    slot_rows: Option<Vec<Row>>,
    connection_string_rows: Option<Vec<Row>>,
}

/// The observations so far.
#[derive(Debug, Default)]
pub(super) struct Observations {
    pub(super) names_active_version: Option<bool>,
    pub(super) rows_have_ids: Option<bool>,
    pub(super) measurements: Vec<Measurement>,
    /// Whether the references of the slot change with a refresh of the site.
    pub(super) slot_follows_site: Option<bool>,
    pub(super) connection_string_refreshed: Option<bool>,
    /// Sentences about steps that were not possible.
    pub(super) notes: Vec<String>,
}

impl Observations {
    fn rows(&mut self, rows: &[Row]) {
        let mut resolved = rows::unpinned(rows)
            .filter(|row| row.is_resolved())
            .peekable();
        if resolved.peek().is_some() {
            let names = resolved.any(|row| row.active_version.is_some());
            self.names_active_version = Some(names || self.names_active_version == Some(true));
        }
        if !rows.is_empty() {
            let has_ids = rows.iter().any(|row| row.has_id);
            self.rows_have_ids = Some(has_ids || self.rows_have_ids == Some(true));
        }
    }

    fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        out::note(&text);
        self.notes.push(text);
    }
}

impl Calibration {
    pub(super) fn new(session: Session, pace: Pace) -> Self {
        Self {
            session,
            pace,
            seen: Observations::default(),
            site_rows: None,
            slot_rows: None,
            connection_string_rows: None,
        }
    }

    pub(super) async fn run(&mut self) -> Result<(), Interrupted> {
        if !self.read().await? {
            return Ok(());
        }
        if !self.measure_with_secret().await? {
            self.measure_without_secret().await?;
        }
        Ok(())
    }

    /// Reads everything once. Returns false if there is no point in going on.
    async fn read(&mut self) -> Result<bool, Interrupted> {
        let site = self.session.read(Operation::ReadSite, App::Site).await?;
        match site.status {
            None => {
                self.seen
                    .note("The site cannot be read, so no other call was made.");
                return Ok(false);
            }
            Some(404) => {
                self.seen
                    .note("There is no such site, so no other call was made.");
                return Ok(false);
            }
            Some(_) => {}
        }
        let list = Operation::ListSettings;
        self.session.read(list, App::Site).await?;
        self.site_rows = self.statuses(Operation::SettingStatuses, App::Site).await?;
        let list = Operation::ListConnectionStrings;
        self.session.read(list, App::Site).await?;
        let list = Operation::ConnectionStringStatuses;
        self.connection_string_rows = self.statuses(list, App::Site).await?;
        let slots = self.session.read(Operation::ListSlots, App::Site).await?;
        if let Some(slot) = first_slot(&slots.body) {
            let id = format!("{}/slots/{slot}", self.session.site);
            self.session.slot = id.parse().ok();
        }
        if self.session.slot.is_some() {
            self.slot_rows = self.statuses(Operation::SettingStatuses, App::Slot).await?;
        }
        Ok(true)
    }

    /// Reads a list of statuses once. `None` if it cannot be read.
    async fn statuses(
        &mut self,
        list: Operation,
        app: App,
    ) -> Result<Option<Vec<Row>>, Interrupted> {
        let mut rows = self.session.rows(list, app).await?;
        for _ in 1..ATTEMPTS {
            if matches!(rows, Rows::Read(_) | Rows::Refused) {
                break;
            }
            self.session.pause(PAUSE).await?;
            rows = self.session.rows(list, app).await?;
        }
        let Rows::Read(rows) = rows else {
            return Ok(None);
        };
        self.seen.rows(&rows);
        Ok(Some(rows))
    }

    /// Breaks the reference and repairs it. Returns false if that is not possible.
    async fn measure_with_secret(&mut self) -> Result<bool, Interrupted> {
        let Some(secret) = self.session.secret.clone() else {
            return Ok(false);
        };
        let rows = self.site_rows.as_deref().unwrap_or_default();
        let Some(row) = rows::of_secret(rows, &secret).cloned() else {
            self.seen.note(
                "No app setting is known to reference the secret without a version, so the secret was not changed.",
            );
            return Ok(false);
        };
        let mut is_broken = false;
        if row.is_resolved() {
            out::note("set a disabled version of the secret");
            match self.session.set_secret(false).await {
                Set::Refused => {
                    self.seen.note(NOT_SET);
                    return Ok(false);
                }
                Set::Unknown => {}
                Set::Done(_) => is_broken = self.measure_broken(&row).await?,
            }
        } else {
            self.seen
                .note("The reference is not resolved at the beginning.");
        }
        out::note("set an enabled version of the secret");
        match self.session.enable().await {
            Some(version) => self.measure_resolved(&row, is_broken, version).await?,
            None if self.session.may_be_disabled => {
                let text = "The secret could not be set to an enabled version.";
                self.seen.note(text);
            }
            None => {
                self.seen.note(NOT_SET);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Refreshes while the newest version is disabled. Returns whether the row is broken then.
    async fn measure_broken(&mut self, row: &Row) -> Result<bool, Interrupted> {
        let goal = Goal::Broken(row.name.clone());
        let is_broken = self
            .measure(App::Site, Version::Disabled, &goal, false, REFRESHES)
            .await?;
        if !is_broken {
            let last = self.seen.measurements.last();
            if last.is_some_and(|it| it.refreshes.ends_with(&[RefreshEffect::None])) {
                self.seen.note(
                    "The reference stayed resolved, although the newest version of the secret is disabled.",
                );
            }
            return Ok(false);
        }
        let Some(secret) = self.session.secret.clone() else {
            return Ok(true);
        };
        let resolved = |rows: &Option<Vec<Row>>| {
            let row = rows::of_secret(rows.as_deref()?, &secret)?;
            row.is_resolved().then(|| Goal::Broken(row.name.clone()))
        };
        let (of_string, of_slot) = (
            resolved(&self.connection_string_rows),
            resolved(&self.slot_rows),
        );
        if let Some(goal) = of_string {
            let list = Operation::ConnectionStringStatuses;
            let since = Instant::now();
            let watched = self.session.watch(list, App::Site, since, &goal, self.pace);
            self.seen.connection_string_refreshed = match watched.await? {
                Watched::Changed(_) => Some(true),
                Watched::Unchanged => Some(false),
                Watched::Unseen => None,
            };
        }
        if let Some(goal) = of_slot {
            self.measure_slot_broken(&goal).await?;
        }
        Ok(true)
    }

    /// Waits for the slot to follow the site, and refreshes it if it does not.
    async fn measure_slot_broken(&mut self, goal: &Goal) -> Result<(), Interrupted> {
        let (list, since) = (Operation::SettingStatuses, Instant::now());
        let pace = Pace {
            limit: self.pace.limit / 4,
            ..self.pace
        };
        let watched = self.session.watch(list, App::Slot, since, goal, pace);
        self.seen.slot_follows_site = match watched.await? {
            Watched::Changed(_) => Some(true),
            Watched::Unchanged => Some(false),
            Watched::Unseen => None,
        };
        if self.seen.slot_follows_site == Some(false) {
            self.measure(App::Slot, Version::Disabled, goal, false, REFRESHES)
                .await?;
        }
        Ok(())
    }

    /// Refreshes after an enabled version was set.
    async fn measure_resolved(
        &mut self,
        row: &Row,
        is_broken: bool,
        version: Option<String>,
    ) -> Result<(), Interrupted> {
        let goal = match version {
            _ if is_broken || !row.is_resolved() => Goal::Resolved(row.name.clone()),
            Some(version) if row.active_version.is_some() => {
                Goal::Active(row.name.clone(), version)
            }
            // There is nothing to see.
            _ => return self.measure_slot_resolved().await,
        };
        let must_show = row.is_resolved();
        let took = self
            .measure(App::Site, Version::Enabled, &goal, must_show, REFRESHES)
            .await?;
        if !took && is_broken {
            self.seen.note("The reference was still broken at the end.");
        }
        // For the active version.
        self.statuses(Operation::SettingStatuses, App::Site).await?;
        self.measure_slot_resolved().await?;
        self.check_connection_string().await
    }

    /// Refreshes the slot if its reference is broken.
    async fn measure_slot_resolved(&mut self) -> Result<(), Interrupted> {
        let Some(secret) = self.session.secret.clone() else {
            return Ok(());
        };
        if self.session.slot.is_none() {
            return Ok(());
        }
        let rows = self.statuses(Operation::SettingStatuses, App::Slot).await?;
        let Some(rows) = rows else {
            return Ok(());
        };
        let Some(row) = rows::of_secret(&rows, &secret) else {
            self.seen
                .note("No setting of the slot references the secret without a version.");
            return Ok(());
        };
        if row.is_broken() {
            let goal = Goal::Resolved(row.name.clone());
            let before = self.slot_rows.as_deref().unwrap_or_default();
            let must_show = rows::of_secret(before, &secret).is_some_and(Row::is_resolved);
            let took = self
                .measure(App::Slot, Version::Enabled, &goal, must_show, REFRESHES)
                .await?;
            if !took {
                self.seen
                    .note("The reference of the slot was still broken at the end.");
            }
        }
        Ok(())
    }

    /// Reads the connection strings once more, if one was broken.
    async fn check_connection_string(&mut self) -> Result<(), Interrupted> {
        if self.seen.connection_string_refreshed != Some(true) {
            return Ok(());
        }
        let list = Operation::ConnectionStringStatuses;
        let rows = self.statuses(list, App::Site).await?.unwrap_or_default();
        let secret = self.session.secret.as_ref();
        let row = secret.and_then(|secret| rows::of_secret(&rows, secret));
        if row.is_some_and(Row::is_broken) {
            self.seen
                .note("The reference in a connection string was still broken at the end.");
        }
        Ok(())
    }

    /// Refreshes without a change of a secret. An effect shows only if Azure names an active
    /// version and that one changes.
    async fn measure_without_secret(&mut self) -> Result<(), Interrupted> {
        let site = self.site_rows.clone();
        self.refresh_unchanged(App::Site, site, REFRESHES).await?;
        if let Some(before) = self.connection_string_rows.clone()
            && rows::unpinned(&before).next().is_some()
        {
            let list = Operation::ConnectionStringStatuses;
            let rows = self.statuses(list, App::Site).await?.unwrap_or_default();
            let has_changed = Goal::Changed(before).is_met(&rows);
            self.seen.connection_string_refreshed = has_changed.then_some(true);
        }
        if self.session.slot.is_some() {
            let slot = self.slot_rows.clone();
            self.refresh_unchanged(App::Slot, slot, 1).await?;
        }
        Ok(())
    }

    async fn refresh_unchanged(
        &mut self,
        app: App,
        before: Option<Vec<Row>>,
        refreshes: usize,
    ) -> Result<(), Interrupted> {
        let before = before.unwrap_or_default();
        if rows::unpinned(&before).next().is_none() {
            let noun = app.noun();
            self.seen.note(format!(
                "No reference without a version of the {noun} can be seen, so its refresh shows nothing."
            ));
            // For the right to it.
            self.session.refresh(app).await?;
            return Ok(());
        }
        let goal = Goal::Changed(before);
        self.measure(app, Version::Unchanged, &goal, false, refreshes)
            .await?;
        self.statuses(Operation::SettingStatuses, app).await?;
        Ok(())
    }

    /// Measures refreshes, and returns whether one took.
    async fn measure(
        &mut self,
        app: App,
        version: Version,
        goal: &Goal,
        must_show: bool,
        refreshes: usize,
    ) -> Result<bool, Interrupted> {
        let refreshes = self
            .session
            .measure(app, goal, refreshes, self.pace)
            .await?;
        let took = refreshes
            .iter()
            .any(|effect| matches!(effect, RefreshEffect::Took(_)));
        self.seen.measurements.push(Measurement {
            app,
            version,
            must_show,
            refreshes,
        });
        Ok(took)
    }
}

/// The name of the first slot in a list. It is listed as `site/slot`.
fn first_slot(body: &Value) -> Option<&str> {
    let first = body.get("value")?.as_array()?.first()?;
    first.get("name")?.as_str()?.rsplit('/').next()
}
