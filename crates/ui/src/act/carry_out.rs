//! Carries out actions: each is a change of the store, and keyrelay-host does the rest.

use keyrelay_model::{AppId, SecretName, VaultHost, error_chain};
use keyrelay_records::holds::{self, Hold, Holds};
use keyrelay_records::pending::PendingWork;
use keyrelay_records::resubmission::{monitored_by, resubmit};
use keyrelay_records::{RunId, app_key};
use keyrelay_store::{Store, StoreError};

use super::command::Act;
use crate::visit::Visit;

/// The text for the record, and the runs whose events were resubmitted. The error is the text of an
/// action that failed.
type ActResult = Result<(String, Vec<RunId>), String>;

/// Carries out an action. `runs` are those that its form names.
pub(super) async fn carry_out(visit: &Visit, act: &Act, runs: &[RunId], why: &str) -> ActResult {
    let store = &visit.sources.store;
    match act {
        Act::Resubmit { run } => resubmit_all(store, std::slice::from_ref(run)).await,
        Act::ResubmitFailed { .. } => resubmit_all(store, runs).await,
        Act::Hold { vault, secret } => {
            let hold = Hold {
                format: holds::FORMAT,
                vault_host: vault.to_string(),
                secret: secret.to_string(),
                by: visit.user.name.clone(),
                at: store.now(),
                why: why.to_owned(),
            };
            match Holds::new(store.clone()).place(vault, secret, &hold).await {
                Ok(true) => Ok(("The secret is held.".to_owned(), Vec::new())),
                Ok(false) => Err("The secret was held already.".to_owned()),
                Err(error) => Err(in_words(&error)),
            }
        }
        Act::Resume { vault, secret } => resume(store, vault, secret).await,
        Act::VerifyNow { app } => match verify_now(visit, app).await {
            Ok(due) => Ok((
                format!(
                    "The references of the app are read next, and {due} pending rotations are due."
                ),
                Vec::new(),
            )),
            Err(error) => Err(in_words(&error)),
        },
    }
}

fn in_words(error: &StoreError) -> String {
    error_chain(error)
}

/// Resubmits the events of runs, one after the other. A failure ends that, and says what was done.
async fn resubmit_all(store: &Store, runs: &[RunId]) -> ActResult {
    let (mut done, mut waiting) = (Vec::new(), 0);
    for run in runs {
        match resubmit(store, run).await {
            Ok(true) => done.push(run.clone()),
            Ok(false) => waiting += 1,
            Err(error) => {
                let error = error_chain(&error);
                let done: Vec<String> = done.iter().map(RunId::to_string).collect();
                return Err(format!(
                    "Run {run} was not resubmitted, and the ones after it neither: {error}. Resubmitted before: [{}]",
                    done.join(", ")
                ));
            }
        }
    }
    let text = match (done.len(), waiting) {
        (done, 0) => format!("{done} events wait for the reconcile timer."),
        (done, waiting) => format!(
            "{done} events wait for the reconcile timer, and {waiting} were waiting already."
        ),
    };
    Ok((text, done))
}

/// Removes a hold, and resubmits the newest run that changed nothing because of it. That is looked for
/// first, so that a failure leaves the hold.
async fn resume(store: &Store, vault: &VaultHost, secret: &SecretName) -> ActResult {
    let holds = Holds::new(store.clone());
    let hold = holds
        .find(vault, secret)
        .await
        .map_err(|it| in_words(&it))?;
    let Some(hold) = hold else {
        return Err("The secret was not held.".to_owned());
    };
    let run = monitored_by(store, &hold)
        .await
        .map_err(|it| in_words(&it))?;
    let released = holds.release(vault, secret).await;
    if released.map_err(|it| in_words(&it))?.is_none() {
        return Err("The secret was resumed meanwhile.".to_owned());
    }
    let Some(run) = run else {
        return Ok(("The secret is resumed.".to_owned(), Vec::new()));
    };
    let (text, runs) = resubmit_all(store, &[run])
        .await
        .map_err(|reason| format!("The secret is resumed. {reason}"))?;
    Ok((format!("The secret is resumed. {text}"), runs))
}

/// Has the reconcile timer read an app, and makes its pending rotations due. Returns their number.
/// What an instance works on already stays as it is.
async fn verify_now(visit: &Visit, app: &AppId) -> Result<usize, StoreError> {
    let pending = visit.sources.pending();
    let now = visit.sources.now();
    let own = app_key(app);
    let mut due = 0;
    for key in pending.list().await?.work {
        let (Some(of), Some(run)) = (key.app(), key.run()) else {
            continue;
        };
        if of != own {
            continue;
        }
        let read = pending.read::<PendingWork>(key.as_str()).await?;
        let claimed = read.and_then(|entry| entry.value.claimed_until);
        if claimed.is_some_and(|until| until > now) {
            continue;
        }
        let Some(mut entry) = pending.of_run(app, &run).await? else {
            continue;
        };
        if let [rotation] = entry.rotations() {
            let mut rotation = rotation.clone();
            rotation.due = now;
            due += usize::from(entry.update(rotation).await?);
        }
    }
    pending.mark_changed(app).await?;
    Ok(due)
}
