//! Checks the rules of the configuration against the policies.

use keyrelay_config::Rule;
use keyrelay_model::error_chain;
use keyrelay_sandbox::PolicyLimits;

use crate::services::Services;

/// Logs the rules whose policy is missing, or does not accept its parameters: such a mistake is
/// reported at the start, and not only when a secret rotates.
pub(super) async fn check_rules(services: &Services) {
    for (index, rule) in services.config.rules.iter().enumerate() {
        let Some(name) = &rule.policy else { continue };
        if let Err(message) = check_rule(services, rule, name).await {
            tracing::error!(
                policy.name = name,
                "keyrelay.toml: rotation[{index}] will fail: {message}"
            );
        }
    }
}

async fn check_rule(services: &Services, rule: &Rule, policy: &str) -> Result<(), String> {
    let policy = services.policies.get(policy).await;
    let policy = policy.map_err(|error| error.to_string())?;
    let limits = PolicyLimits::with(rule.limits.time, rule.limits.memory);
    let checked = policy.check_parameters(&rule.parameters, &limits);
    checked.await.map_err(|error| error_chain(&error))
}
