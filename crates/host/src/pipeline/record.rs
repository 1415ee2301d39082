//! Records a run in the history.

use futures::{StreamExt, stream};
use keyrelay_records::{Outcome, RotationRecord, Run, app_key};

use super::time_budget::TimeBudget;
use crate::services::Services;

/// Largest number of refusals that are classified at once.
const CONCURRENCY: usize = 16;

/// Classifies the refusals of the run, and writes the run into the history. If that fails, the
/// event is delivered again: nothing is done without a record.
pub(crate) async fn record(services: &Services, run: &mut Run, budget: TimeBudget) {
    classify_refusals(services, run, budget).await;
    if !run.is_worth_a_record() {
        return;
    }
    let history = services.history.until(budget.record().moment());
    let Err(error) = history.keep(run).await else {
        return;
    };
    let outcome = Outcome::from(error);
    let before = run
        .ended
        .take()
        .map(|ended| format!("{}; ", ended.message))
        .unwrap_or_default();
    let message = format!(
        "{before}the run is not recorded, and Event Grid delivers the event again: {}",
        outcome.message
    );
    run.ended = Some(Outcome { message, ..outcome });
}

/// Decides for each refusal by Azure whether it may be role propagation.
async fn classify_refusals(services: &Services, run: &mut Run, budget: TimeBudget) {
    let roles = &services.role_propagation;
    let deadline = budget.classification();
    if let Some(ended) = &mut run.ended {
        roles.classify("scope", ended, deadline).await;
    }
    let classify = async |rotation: &mut RotationRecord| {
        let subject = app_key(&rotation.app);
        roles
            .classify(&subject, &mut rotation.outcome, deadline)
            .await;
    };
    let rotations = stream::iter(&mut run.rotations);
    rotations.for_each_concurrent(CONCURRENCY, classify).await;
}
