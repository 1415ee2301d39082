//! The versions of a secret, as far as its events and its users tell.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_model::ObjectKind;
use keyrelay_records::fleet::Use;
use keyrelay_records::summary::Summary;
use keyrelay_records::{History, HistoryError, Run, RunId};
use keyrelay_store::StoreError;
use maud::{Markup, html};

use crate::links::Links;
use crate::page::{self, code, empty, time_or};

/// The number of runs that are read at once.
const AT_ONCE: usize = 16;

/// The versions of a secret.
#[derive(Debug)]
pub(super) struct KnownVersions {
    /// The newest first.
    known: Vec<KnownVersion>,
    /// The kind of the object, as its newest event tells.
    pub(super) kind: ObjectKind,
}

#[derive(Debug, Default)]
struct KnownVersion {
    name: String,
    /// The time of its event.
    created: Option<Timestamp>,
    expires: Option<Timestamp>,
    not_before: Option<Timestamp>,
    /// The newest run about it.
    run: Option<RunId>,
    /// The number of uses that have it.
    uses: usize,
    /// The time since which a use has it.
    first_use: Option<Timestamp>,
}

/// Reads the versions of which the runs, and the users, tell.
pub(super) async fn read(
    history: &History,
    runs: &[Summary],
    uses: &[&Use],
) -> Result<KnownVersions, StoreError> {
    let mut versions: BTreeMap<String, KnownVersion> = BTreeMap::new();
    let mut kind = None;
    let ids: Vec<RunId> = runs.iter().map(|run| run.id.clone()).collect();
    let read = stream::iter(ids).map(|id| async move { history.read(&id).await });
    let mut read = read.buffered(AT_ONCE);
    while let Some(run) = read.next().await {
        match run {
            Ok(run) => {
                kind = kind.or_else(|| kind_of(&run));
                add_run(&mut versions, run);
            }
            // The others tell all the same.
            Err(HistoryError::Missing(_) | HistoryError::Newer { .. }) => {}
            Err(HistoryError::Store(StoreError::Unreadable { .. })) => {}
            Err(HistoryError::Store(error)) => return Err(error),
        }
    }
    for it in uses {
        if let Some(current) = &it.current {
            let version = entry(&mut versions, &current.version);
            version.uses += 1;
            let first = version.first_use.unwrap_or(current.at);
            version.first_use = Some(first.min(current.at));
        }
    }
    let mut known: Vec<KnownVersion> = versions.into_values().collect();
    known.sort_by_key(|it| std::cmp::Reverse(it.created.or(it.first_use)));
    let kind = kind.unwrap_or(ObjectKind::Secret);
    Ok(KnownVersions { known, kind })
}

fn kind_of(run: &Run) -> Option<ObjectKind> {
    let word = &run.event.as_ref()?.kind;
    ObjectKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == word)
}

fn entry<'a>(versions: &'a mut BTreeMap<String, KnownVersion>, name: &str) -> &'a mut KnownVersion {
    versions
        .entry(name.to_lowercase())
        .or_insert_with(|| KnownVersion {
            name: name.to_owned(),
            ..KnownVersion::default()
        })
}

fn add_run(versions: &mut BTreeMap<String, KnownVersion>, run: Run) {
    let Some(event) = run.event else { return };
    let Some(name) = &event.version else { return };
    let version = entry(versions, name);
    let moment = |seconds: Option<u64>| Timestamp::from_second(i64::try_from(seconds?).ok()?).ok();
    version.expires = version.expires.or_else(|| moment(event.expires));
    version.not_before = version.not_before.or_else(|| moment(event.not_before));
    version.run.get_or_insert(run.id);
    if event.occurrence == "NewVersionCreated" {
        version.created = version.created.or_else(|| event.event_time());
    }
}

pub(super) fn table(links: &Links, versions: &KnownVersions) -> Markup {
    let caption = "Versions that events and apps tell of, the newest first";
    html! {
        @if versions.known.is_empty() {
            (empty("No version is known."))
        } @else {
            (page::table(caption, &["Version", "Created", "Valid from", "Expires", "Uses", "First use", "Newest run"], html! {
                @for it in &versions.known {
                    tr {
                        td { (code(&it.name)) }
                        td { (time_or(it.created)) }
                        td { (time_or(it.not_before)) }
                        td { (time_or(it.expires)) }
                        td.number { (it.uses) }
                        td { (time_or(it.first_use)) }
                        td {
                            @match &it.run {
                                Some(run) => a href=(links.run(run)) { (time_or(run.began())) },
                                None => "–",
                            }
                        }
                    }
                }
            }))
        }
    }
}
