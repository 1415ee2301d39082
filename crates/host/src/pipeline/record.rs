//! Records a run in the history.

use keyrelay_records::{Outcome, Run};

use super::time_budget::TimeBudget;
use crate::services::Services;

/// Writes the run into the history. If that fails, the event is delivered again: nothing is done
/// without a record.
pub(crate) async fn record(services: &Services, run: &mut Run, budget: TimeBudget) {
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
