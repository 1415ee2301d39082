//! Continues what deliveries leave for want of time, as soon as they leave it: the next invocation of
//! the timer may be a minute away.
//!
//! Nothing depends on it. The Functions host may stop an instance that handles nothing: then the timer
//! continues when the claims of this instance have ended.

use std::sync::Arc;
use std::time::Duration;

use keyrelay_azure::Deadline;
use keyrelay_model::error_chain;
use uuid::Uuid;

use super::due::wait_for_the_next;
use super::pass::Pass;
use super::summary::Summary;
use crate::services::Services;

/// Longest time for one pass, and so for what another instance waits if this one is stopped. Azure allows
/// 800 refreshes in it; the end of a pass costs some seconds of that pace.
const CONTINUE_FOR: Duration = Duration::from_secs(80);

/// Continues what deliveries leave, as long as the process lives.
pub(crate) async fn continue_deliveries(services: &Arc<Services>) {
    loop {
        services.left_work.notified().await;
        loop {
            let services = Arc::clone(services);
            // A task of its own: a panic ends only this pass.
            match tokio::spawn(async move { continue_for_a_while(&services).await }).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => {
                    tracing::error!(
                        "a panic occurred while keyrelay continued an event: please report this"
                    );
                    break;
                }
            }
        }
    }
}

/// Handles what is due, and what becomes due soon. Returns whether there was not enough time.
async fn continue_for_a_while(services: &Arc<Services>) -> bool {
    let invocation = Uuid::new_v4().to_string();
    let pass = Pass::new(services, &invocation, Deadline::after(CONTINUE_FOR));
    let mut summary = Summary::default();
    if let Err(error) = wait_for_the_next(&pass, None, &mut summary).await {
        tracing::error!(
            invocation.id = invocation,
            "continuing: {}",
            error_chain(&error)
        );
        return false;
    }
    tracing::info!(invocation.id = invocation, "continued: {summary}");
    // No invocation flushes it: the next one may be a minute away.
    services.telemetry.flush().await;
    pass.deadline.has_passed()
}
