//! The route of a secret of a vault: its rule, its policy and its mode.

use keyrelay_model::SecretName;

use crate::config::Config;
use crate::mode::Mode;
use crate::rule::Rule;

/// The policy of secrets that have none of their own.
pub const DEFAULT_POLICY: &str = "follow";

/// The rule, the policy and the mode of one secret.
#[derive(Debug)]
pub struct Route<'a> {
    /// The rule, if one matches.
    pub rule: Option<&'a Rule>,
    /// The policy's name.
    pub policy: String,
    /// The mode that applies.
    pub mode: Mode,
}

/// Finds the route of a secret.
///
/// `vault` is the name of its vault. The rule is the first that matches both. The policy is the one that the rule names, else the module
/// named like the secret, else `follow`. If the names of modules differ only in case, an exact
/// match comes first.
pub fn route_of<'a>(
    config: &'a Config,
    policies: &[String],
    vault: &str,
    secret: &SecretName,
) -> Route<'a> {
    let rule = config.rules.iter().find(|rule| rule.matches(vault, secret));
    let written_alike = || policies.iter().find(|name| *name == secret.as_str());
    let named_alike = || {
        policies
            .iter()
            .find(|name| name.eq_ignore_ascii_case(secret.as_str()))
    };
    let own_module = || written_alike().or_else(named_alike).cloned();
    let policy = rule
        .and_then(|rule| rule.policy.clone())
        .or_else(own_module)
        .unwrap_or_else(|| DEFAULT_POLICY.to_owned());
    Route {
        rule,
        policy,
        mode: stricter(config.mode, rule.and_then(|rule| rule.mode)),
    }
}

/// Returns the stricter mode: a rule can restrict the global mode and cannot relax it.
fn stricter(global: Mode, of_rule: Option<Mode>) -> Mode {
    match (global, of_rule.unwrap_or(global)) {
        (Mode::Off, _) | (_, Mode::Off) => Mode::Off,
        (Mode::Monitor, _) | (_, Mode::Monitor) => Mode::Monitor,
        (Mode::Enforce, Mode::Enforce) => Mode::Enforce,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn config(text: &str) -> Config {
        Config::read(text, &BTreeMap::new()).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn policy(config: &Config, secret: &str) -> String {
        let policies = ["follow", "sql-a", "pin"].map(str::to_owned);
        route_of(config, &policies, "kv", &secret.parse().unwrap()).policy
    }

    #[test]
    fn capital_letters_decide_between_namesakes_only() {
        let (config, policies) = (config(""), ["SQL", "Sql", "sql"].map(str::to_owned));
        for (secret, expected) in [("sql", "sql"), ("Sql", "Sql"), ("sQL", "SQL")] {
            assert_eq!(
                route_of(&config, &policies, "kv", &secret.parse().unwrap()).policy,
                expected
            );
        }
    }

    #[test]
    fn a_module_named_like_the_secret_is_its_policy() {
        let config = config("");
        assert_eq!(policy(&config, "SQL-A"), "sql-a");
        assert_eq!(policy(&config, "sql-b"), "follow");
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        let config = config(
            "[[rotation]]\nsecret = \"sql-a\"\n[[rotation]]\nsecret = \"sql-*\"\npolicy = \"pin\"\n\
             [[rotation]]\nsecret = \"sql-b\"\npolicy = \"other\"",
        );
        assert_eq!(policy(&config, "sql-a"), "sql-a");
        assert_eq!(policy(&config, "sql-b"), "pin");
    }

    #[test]
    fn a_rule_with_a_vault_is_for_that_vault_alone() {
        let config = config(
            "[[rotation]]\nsecret = \"contoso-kv/sql\"\npolicy = \"pin\"\n\
             [[rotation]]\nsecret = \"sql*\"\nvault = \"Other-KV\"\npolicy = \"other\"",
        );
        let policies = ["follow".to_owned()];
        let policy =
            |vault: &str| route_of(&config, &policies, vault, &"sql".parse().unwrap()).policy;
        assert_eq!(policy("contoso-kv"), "pin");
        assert_eq!(policy("other-kv"), "other");
        assert_eq!(policy("attacker-kv"), "follow");
    }

    #[test]
    fn the_stricter_mode_holds() {
        use Mode::{Enforce, Monitor, Off};
        assert_eq!(stricter(Enforce, None), Enforce);
        assert_eq!(stricter(Enforce, Some(Monitor)), Monitor);
        assert_eq!(stricter(Monitor, Some(Enforce)), Monitor);
        assert_eq!(stricter(Off, Some(Enforce)), Off);
        assert_eq!(stricter(Monitor, Some(Off)), Off);
    }
}
