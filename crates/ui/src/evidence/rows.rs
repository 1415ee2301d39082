//! The rows of evidence: the rotations of the run history, and what each app has today.

use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use keyrelay_records::fleet::{Fleet, Use};
use keyrelay_records::history::Entry;
use keyrelay_records::{History, HistoryError, RotationRecord, Run, run_id};
use keyrelay_store::StoreError;

use super::EvidenceRequest;
use crate::failure::PageFailure;
use crate::sources::Sources;

/// The number of runs that are read at once.
const AT_ONCE: usize = 16;

/// The names of the columns.
pub(super) const COLUMNS: [&str; 18] = [
    "record",
    "vault",
    "secret",
    "version",
    "app",
    "setting",
    "verdict",
    "evidence",
    "time",
    "event_time",
    "event_id",
    "run",
    "cause",
    "policy",
    "policy_digest",
    "decision",
    "correlation_ids",
    "message",
];

/// A row of evidence.
#[derive(Debug, Default)]
pub(super) struct EvidenceRow {
    /// `rotation` or `current`.
    record: &'static str,
    vault: String,
    secret: String,
    version: String,
    app: String,
    setting: String,
    /// The verdict of a rotation, or the state of a use.
    verdict: String,
    evidence: String,
    time: String,
    event_time: String,
    event_id: String,
    run: String,
    cause: String,
    policy: String,
    policy_digest: String,
    decision: String,
    correlation_ids: String,
    message: String,
}

/// The rows that are asked for.
#[derive(Debug)]
pub(super) struct EvidenceRows {
    history: History,
    fleet: Arc<Fleet>,
    request: EvidenceRequest,
}

impl EvidenceRow {
    /// The cells, in the order of [`COLUMNS`].
    pub(super) fn cells(self) -> [String; 18] {
        [
            self.record.to_owned(),
            self.vault,
            self.secret,
            self.version,
            self.app,
            self.setting,
            self.verdict,
            self.evidence,
            self.time,
            self.event_time,
            self.event_id,
            self.run,
            self.cause,
            self.policy,
            self.policy_digest,
            self.decision,
            self.correlation_ids,
            self.message,
        ]
    }
}

impl EvidenceRows {
    pub(super) async fn new(
        sources: &Sources,
        request: EvidenceRequest,
    ) -> Result<Self, PageFailure> {
        Ok(Self {
            history: sources.history(),
            fleet: sources.fleet().await?,
            request,
        })
    }

    /// The rows: what apps have today, and then the rotations, the newest first.
    pub(super) fn stream(self) -> impl Stream<Item = Result<Vec<EvidenceRow>, StoreError>> + Send {
        let Self {
            history,
            fleet,
            request,
        } = self;
        let request = Arc::new(request);
        let current = fleet.uses.iter().filter(|it| is_asked_for(&request, it));
        let current: Vec<EvidenceRow> = current.map(of_use).collect();
        let oldest = run_id::from(request.from);
        let rotations = rotations_of(history, oldest, request);
        stream::once(async move { Ok(current) }).chain(rotations)
    }
}

/// The rows of the rotations, part by part of the history.
fn rotations_of(
    history: History,
    oldest: String,
    request: Arc<EvidenceRequest>,
) -> impl Stream<Item = Result<Vec<EvidenceRow>, StoreError>> + Send {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let sent = send_rotations(&history, &oldest, &request, &sender).await;
        if let Err(error) = sent {
            // If the browser is gone, nobody reads it.
            let _ = sender.send(Err(error)).await;
        }
    });
    stream::unfold(receiver, |mut receiver| async move {
        let rows = receiver.recv().await?;
        Some((rows, receiver))
    })
}

async fn send_rotations(
    history: &History,
    oldest: &str,
    request: &EvidenceRequest,
    sender: &tokio::sync::mpsc::Sender<Result<Vec<EvidenceRow>, StoreError>>,
) -> Result<(), StoreError> {
    let mut parts = std::pin::pin!(history.entries(oldest));
    while let Some(part) = parts.try_next().await? {
        let entries = part
            .into_iter()
            .filter(|entry| may_be_asked_for(request, entry));
        let rows = stream::iter(entries).map(|entry| of_entry(history, request, entry));
        let mut rows = rows.buffered(AT_ONCE);
        while let Some(rows) = rows.try_next().await? {
            if !rows.is_empty() && sender.send(Ok(rows)).await.is_err() {
                // The browser is gone.
                return Ok(());
            }
        }
    }
    Ok(())
}

fn is_of(request: &EvidenceRequest, vault: &str, secret: &str) -> bool {
    let of_vault = request.vault.as_ref();
    let of_secret = request.secret.as_ref();
    of_vault.is_none_or(|it| it.as_str().eq_ignore_ascii_case(vault))
        && of_secret.is_none_or(|it| it.as_str().eq_ignore_ascii_case(secret))
}

fn is_asked_for(request: &EvidenceRequest, it: &Use) -> bool {
    is_of(request, &it.vault, &it.secret)
}

/// Whether the run of an entry may have rows. A run without a summary is read to tell.
fn may_be_asked_for(request: &EvidenceRequest, entry: &Entry) -> bool {
    let id = match entry {
        Entry::Summary(summary) => {
            let event = summary.event.as_ref();
            if !event.is_some_and(|event| is_of(request, &event.vault_host, &event.name)) {
                return false;
            }
            &summary.id
        }
        Entry::WithoutSummary(id) => id,
        Entry::Ignored(_) => return false,
    };
    id.began().is_none_or(|began| began <= request.to)
}

async fn of_entry(
    history: &History,
    request: &EvidenceRequest,
    entry: Entry,
) -> Result<Vec<EvidenceRow>, StoreError> {
    let id = match entry {
        Entry::Summary(summary) => summary.id,
        Entry::WithoutSummary(id) => id,
        Entry::Ignored(_) => return Ok(Vec::new()),
    };
    match history.read(&id).await {
        Ok(run) => Ok(of_run(request, &run)),
        Err(HistoryError::Store(error @ StoreError::Unavailable { .. })) => Err(error),
        // Removed meanwhile, or unreadable: the reader learns that it is missing.
        Err(error) => Ok(vec![EvidenceRow {
            record: "rotation",
            run: id.to_string(),
            message: format!("missing: {error}"),
            ..EvidenceRow::default()
        }]),
    }
}

fn of_run(request: &EvidenceRequest, run: &Run) -> Vec<EvidenceRow> {
    let Some(event) = &run.event else {
        return Vec::new();
    };
    if !is_of(request, &event.vault_host, &event.name) {
        return Vec::new();
    }
    let policy = run.policy.as_ref();
    let row = || EvidenceRow {
        record: "rotation",
        vault: event.vault_host.clone(),
        secret: event.name.clone(),
        version: event.version.clone().unwrap_or_default(),
        event_time: event.event_time().map(moment).unwrap_or_default(),
        event_id: event.id.clone(),
        run: run.id.to_string(),
        cause: run.cause.as_str().to_owned(),
        policy: policy.map(|it| it.name.clone()).unwrap_or_default(),
        policy_digest: policy.map(|it| it.digest.clone()).unwrap_or_default(),
        ..EvidenceRow::default()
    };
    let ended = run.ended.as_ref().map(|ended| EvidenceRow {
        verdict: ended.verdict.as_str().to_owned(),
        time: moment(run.started),
        message: ended.message.clone(),
        ..row()
    });
    let rotations = run.rotations.iter().map(|rotation| EvidenceRow {
        app: rotation.app.to_string(),
        verdict: rotation.outcome.verdict.as_str().to_owned(),
        evidence: rotation
            .outcome
            .evidence
            .map(|evidence| evidence.as_str().to_owned())
            .unwrap_or_default(),
        time: moment(ended_at(run, rotation)),
        decision: rotation.decision.clone().unwrap_or_default(),
        correlation_ids: correlation_ids(rotation),
        message: rotation.outcome.message.clone(),
        ..row()
    });
    ended.into_iter().chain(rotations).collect()
}

/// The time of the verdict, as far as the record of the run tells.
fn ended_at(run: &Run, rotation: &RotationRecord) -> Timestamp {
    let took = std::time::Duration::from_millis(rotation.duration_ms);
    run.started.checked_add(took).unwrap_or(run.started)
}

fn correlation_ids(rotation: &RotationRecord) -> String {
    let ids = rotation.requests.iter();
    let mut ids: Vec<&str> = ids.filter_map(|it| it.correlation_id.as_deref()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.join(" ")
}

fn of_use(it: &Use) -> EvidenceRow {
    let current = it.current.as_ref();
    let by_azure = || "taken by Azure itself".to_owned();
    EvidenceRow {
        record: "current",
        vault: it.vault.clone(),
        secret: it.secret.clone(),
        version: current.map(|it| it.version.clone()).unwrap_or_default(),
        app: it.app.to_string(),
        setting: it.reference.setting.clone(),
        verdict: it.state.as_str().to_owned(),
        evidence: current
            .map(|it| it.evidence.clone().unwrap_or_else(by_azure))
            .unwrap_or_default(),
        time: current.map(|it| moment(it.at)).unwrap_or_default(),
        message: it.reason.clone(),
        ..EvidenceRow::default()
    }
}

fn moment(at: Timestamp) -> String {
    format!("{at:.0}")
}
