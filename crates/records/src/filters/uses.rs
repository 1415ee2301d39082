//! A filter of the fleet.

use keyrelay_config::SecretPattern;
use keyrelay_model::SecretName;

use super::{AppName, any, is_vault};
use crate::fleet::Use;

/// A filter of the fleet. A use has to match every list that is not empty, and any of its values.
#[derive(Debug, Clone, Default)]
pub struct UseFilter {
    /// The words of states.
    pub states: Vec<String>,
    /// The secrets.
    pub secrets: Vec<SecretPattern>,
    /// The names or hosts of vaults.
    pub vaults: Vec<String>,
    /// The apps.
    pub apps: Vec<AppName>,
}

impl UseFilter {
    /// Whether a use matches.
    pub fn matches(&self, it: &Use) -> bool {
        any(&self.states, |wanted| it.state.as_str() == wanted) && self.matches_but_for_state(it)
    }

    /// Whether a use matches, in any state.
    pub fn matches_but_for_state(&self, it: &Use) -> bool {
        any(&self.vaults, |wanted| is_vault(&it.vault, wanted))
            && any(&self.apps, |wanted| wanted.is_of(&it.app))
            && any(&self.secrets, |wanted| {
                let secret = it.secret.parse::<SecretName>();
                secret.is_ok_and(|secret| wanted.matches(&secret))
            })
    }
}
