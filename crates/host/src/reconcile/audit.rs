//! Checks the audit logs of the vaults: whether an app whose verdict is `refreshed` has read the
//! version. Its log is complete some ten minutes later.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_azure::{AzureError, Call, SecretRead, SecretVersionId};
use keyrelay_model::{AppId, Event, Evidence, Verdict, error_chain};
use keyrelay_records::{AuditCheck, Outcome, PendingEntry, PendingRotation, Run};
use keyrelay_store::StoreError;

use super::pass::{Pass, elapsed};
use super::summary::Summary;

/// The times of the checks, after the verdict.
const CHECKS: [Duration; 4] = [
    Duration::from_mins(3),
    Duration::from_mins(6),
    Duration::from_mins(10),
    Duration::from_mins(14),
];

/// Longest time for which this instance makes a check alone.
const CLAIM: Duration = Duration::from_mins(1);

/// Largest number of versions in one query.
const CHUNK: usize = 50;

/// A check that is due.
struct Due {
    entry: PendingEntry<AuditCheck>,
    app: AppId,
    version: SecretVersionId,
}

/// Begins the checks for a rotation, if its verdict may become a stronger one.
pub(super) async fn begin(
    pass: &Pass<'_>,
    app: &AppId,
    work: &PendingRotation,
    outcome: &Outcome,
) -> Result<(), StoreError> {
    let is_wanted = pass.services.audit.is_some() && outcome.verdict == Verdict::Refreshed;
    if !is_wanted || work.event.version.is_none() {
        return Ok(());
    }
    let now = pass.services.now();
    let check = AuditCheck {
        run: work.run.clone(),
        app: app.to_string(),
        event: work.event.clone(),
        since: now,
        claimed_until: None,
    };
    let [first, ..] = CHECKS;
    pass.pending
        .keep_audit_check(app, &check, now + first)
        .await
}

/// Makes the checks with these keys.
pub(super) async fn check(pass: &Pass<'_>, keys: Vec<String>, summary: &mut Summary) {
    if keys.is_empty() || pass.deadline.has_passed() {
        return;
    }
    let mut due = Vec::new();
    for key in keys {
        match read(pass, &key).await {
            Ok(found) => due.extend(found),
            Err(message) => summary.problem(format!("{key}: {message}")),
        }
    }
    for chunk in due.chunks(CHUNK) {
        let call = Call::until(pass.run_deadline());
        let reads = match secret_reads(pass, chunk, &call).await {
            Ok(reads) => reads,
            Err(error) => {
                summary.problem(error_chain(&error));
                Vec::new()
            }
        };
        // Only the apps of versions that were read: most checks find nothing yet.
        let is_read = |due: &&Due| reads.iter().any(|read| read.is_of(&due.version));
        let apps = chunk.iter().filter(is_read).map(|due| due.app.clone());
        let principals = principals(pass, apps.collect(), &call, summary).await;
        for due in chunk {
            let principal = principals.get(&due.app);
            let read = reads.iter().find(|read| {
                read.is_of(&due.version)
                    && principal.is_some_and(|id| read.object_id.eq_ignore_ascii_case(id))
            });
            let key = due.entry.key.clone();
            match finish(pass, due, read).await {
                Ok(is_verified) => summary.audited += usize::from(is_verified),
                Err(message) => summary.problem(format!("{key}: {message}")),
            }
        }
    }
}

async fn read(pass: &Pass<'_>, key: &str) -> Result<Option<Due>, String> {
    let claimed = pass.pending.claim::<AuditCheck>(key, CLAIM).await;
    let Some(entry) = claimed.map_err(|error| error_chain(&error))? else {
        return Ok(None);
    };
    let check = &entry.value;
    let app = check.app.parse().map_err(|error| format!("{error}"))?;
    let event = Event::try_from(&check.event).map_err(|error| error.to_string())?;
    let version = event.version.ok_or("the event has no version")?;
    Ok(Some(Due {
        entry,
        app,
        version: SecretVersionId {
            vault_host: event.vault_host,
            secret: event.name,
            version,
        },
    }))
}

async fn secret_reads(
    pass: &Pass<'_>,
    due: &[Due],
    call: &Call,
) -> Result<Vec<SecretRead>, AzureError> {
    let Some((log, workspace)) = &pass.services.audit else {
        return Ok(Vec::new());
    };
    let versions: BTreeSet<SecretVersionId> = due.iter().map(|due| due.version.clone()).collect();
    let versions: Vec<SecretVersionId> = versions.into_iter().collect();
    let since = due.iter().map(|due| due.entry.value.event.time).min();
    log.secret_reads(workspace, &versions, since.unwrap_or_default(), call)
        .await
}

/// The object ids of the identities that resolve the references of the apps.
async fn principals(
    pass: &Pass<'_>,
    mut apps: Vec<AppId>,
    call: &Call,
    summary: &mut Summary,
) -> HashMap<AppId, String> {
    let azure = &pass.services.resource_manager;
    apps.sort();
    apps.dedup();
    let read = stream::iter(apps)
        .map(|app| async move { (azure.reference_principal(&app, call).await, app) })
        .buffer_unordered(pass.services.config.apps_at_once);
    let mut principals = HashMap::new();
    for (principal, app) in read.collect::<Vec<_>>().await {
        match principal {
            Ok(Some(principal)) => {
                principals.insert(app, principal);
            }
            Ok(None) => {}
            Err(error) => summary.problem(error_chain(&error)),
        }
    }
    principals
}

/// Writes the evidence into the run, or keeps the check for the next time. Returns whether the
/// rotation is verified now.
async fn finish(pass: &Pass<'_>, due: &Due, read: Option<&SecretRead>) -> Result<bool, String> {
    let reason = |error: StoreError| error_chain(&error);
    let Due { entry, app, .. } = due;
    let check = &entry.value;
    let Some(read) = read else {
        let kept = match next_check(check, pass.services.now()) {
            Some(at) => {
                let pending = &pass.pending;
                let kept = pending.repeat_audit_check(app, entry.clone(), at).await;
                kept.map(drop)
            }
            None => pass.pending.remove(&entry.key).await,
        };
        return kept.map(|()| false).map_err(reason);
    };
    let message = format!(
        "the vault's audit log shows that the identity of the app read version {} at {}",
        due.version.version, read.at
    );
    let outcome = Outcome::proven(Evidence::AuditLog, message);
    let upgrade = |run: &mut Run| {
        let of_app = run.rotations.iter_mut().filter(|it| it.app == *app);
        for rotation in of_app.filter(|it| it.outcome.verdict == Verdict::Refreshed) {
            rotation.outcome = outcome.clone();
        }
    };
    let amended = pass.history.amend(&check.run, upgrade).await;
    amended.map_err(|error| error_chain(&error))?;
    tracing::info!(
        run.id = check.run.as_str(),
        app.id = %app,
        secret.name = due.version.secret.as_str(),
        secret.version = due.version.version.as_str(),
        verdict = outcome.verdict.as_str(),
        evidence = Evidence::AuditLog.as_str(),
        "{}",
        outcome.message
    );
    pass.pending.remove(&entry.key).await.map_err(reason)?;
    Ok(true)
}

/// The time of the next check. None: this was the last one.
fn next_check(check: &AuditCheck, now: Timestamp) -> Option<Timestamp> {
    let passed = elapsed(check.since, now);
    let pause = CHECKS.into_iter().find(|pause| *pause > passed)?;
    Some(check.since + pause)
}
