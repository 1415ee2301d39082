//! Routes an event to its policy: loads it, checks that it decides about the event, and makes the
//! event context with the grant, the parameters and the limits of the rule.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyrelay_config::Rule;
use keyrelay_model::{AppId, Occurrence, Verdict, error_chain};
use keyrelay_records::{Outcome, PolicyRecord, Run};
use keyrelay_sandbox::{Policy, PolicyLimits};

use super::admit::Admitted;
use super::event_context::EventContext;
use super::trigger::Trigger;
use crate::services::Services;

/// An event with its policy.
pub(crate) struct Routed<'a> {
    pub(crate) context: Arc<EventContext>,
    pub(crate) trigger: &'a Trigger,
    rule: Option<&'a Rule>,
}

impl Routed<'_> {
    /// The apps of the event, if the run or the rule names them.
    pub(crate) fn named_apps(&self) -> Option<&[AppId]> {
        let of_rule = self.rule.map(|rule| rule.apps.as_slice());
        self.trigger
            .apps
            .as_deref()
            .or(of_rule.filter(|apps| !apps.is_empty()))
    }
}

/// Finds the policy of an event, and notes it in the run.
///
/// The error is the outcome of an event that no policy decides about, or whose policy cannot be
/// used.
pub(crate) async fn route<'a>(
    services: &Services,
    admitted: Admitted<'a>,
    run: &mut Run,
) -> Result<Routed<'a>, Outcome> {
    let Admitted {
        event,
        trigger,
        route,
        versions,
        mut outcome_unless_written,
    } = admitted;
    let (parameters, grant) = route
        .rule
        .map(|rule| (rule.parameters.clone(), rule.grant.clone()))
        .unwrap_or_default();
    let overrides = route.rule.map(|rule| rule.limits).unwrap_or_default();
    let limits = PolicyLimits::with(overrides.time, overrides.memory);
    let name = &route.policy;
    let policy = match usable(services, name, event.occurrence, &parameters, &limits, run).await {
        Ok(policy) => Some(policy),
        Err(outcome) if trigger.owes_verification() => {
            let is_refresh = trigger
                .resumed
                .as_ref()
                .is_some_and(|it| it.work.is_refresh);
            if !is_refresh {
                outcome_unless_written.get_or_insert(outcome);
            }
            None
        }
        Err(outcome) => return Err(outcome),
    };
    let context = EventContext {
        run: run.id.clone(),
        cause: trigger.cause,
        is_retry: trigger.is_retry,
        event: event.clone(),
        began: run.started,
        versions,
        policy,
        mode: route.mode,
        refresh: route
            .rule
            .and_then(|rule| rule.refresh)
            .unwrap_or(services.config.refresh),
        grant,
        parameters,
        limits,
        is_named_by_rule: route.rule.is_some_and(|rule| !rule.apps.is_empty()),
        resumed: trigger.resumed.clone(),
        outcome_unless_written,
    };
    Ok(Routed {
        context: Arc::new(context),
        trigger,
        rule: route.rule,
    })
}

/// Loads the policy, notes it in the run, and checks that it decides about such events and accepts
/// the rule's parameters.
async fn usable(
    services: &Services,
    name: &str,
    occurrence: Occurrence,
    parameters: &BTreeMap<String, String>,
    limits: &PolicyLimits,
    run: &mut Run,
) -> Result<Arc<Policy>, Outcome> {
    let policy = services.policies.get(name).await;
    let policy = policy.map_err(|error| Outcome::transient(error.to_string()))?;
    run.policy = Some(PolicyRecord {
        name: name.to_owned(),
        digest: policy.digest().to_string(),
    });
    if !policy.about().wants(occurrence) {
        let message = format!("policy `{name}` does not decide about {occurrence}");
        return Err(Outcome::new(Verdict::Unchanged, message));
    }
    let checked = policy.check_parameters(parameters, limits).await;
    checked.map_err(|error| Outcome::permanent(error_chain(&error)))?;
    Ok(policy)
}
