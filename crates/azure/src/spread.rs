//! The spread of apps over several identities.

use std::sync::Arc;

use keyrelay_model::AppId;
use sha2::{Digest as _, Sha256};

use crate::credential::Credential;

/// The credentials of one or more identities. Azure counts the requests of each on its own.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    first: Arc<Credential>,
    others: Vec<Arc<Credential>>,
}

impl Credentials {
    pub(crate) fn new(first: Arc<Credential>, others: Vec<Arc<Credential>>) -> Self {
        Self { first, others }
    }

    /// The credential of an identity, by its number from 0. The first one stands in for a number that
    /// there is not.
    pub(crate) fn get(&self, identity: usize) -> &Credential {
        let other = identity.checked_sub(1).and_then(|at| self.others.get(at));
        other.unwrap_or(&self.first)
    }

    /// The number of the identity that an app belongs to.
    pub(crate) fn of_app(&self, app: &AppId) -> usize {
        identity_of(app, 1 + self.others.len())
    }
}

/// The number of the identity that an app belongs to, from 0, among so many.
///
/// It depends on nothing but the app's id, so all instances agree, and a missing role always affects
/// the same apps. It must not change between versions for the same reason.
pub fn identity_of(app: &AppId, identities: usize) -> usize {
    let id = app.to_string().to_lowercase();
    let digest = Sha256::digest(id.as_bytes());
    let first = digest.iter().take(8);
    let number = first.fold(0, |number, byte| (number << 8) | u64::from(*byte));
    let count = u64::try_from(identities.max(1)).unwrap_or(u64::MAX);
    usize::try_from(number % count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppId {
        format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/{name}")
            .parse()
            .unwrap()
    }

    #[test]
    fn each_identity_has_its_fair_part_of_the_apps() {
        for identities in 1..=8 {
            let mut counts = vec![0_usize; identities];
            for number in 0..1_000 {
                counts[identity_of(&app(&format!("orders-{number}")), identities)] += 1;
            }
            let fair = 1_000 / identities;
            let is_fair = |count: &usize| (fair * 8 / 10..=fair * 12 / 10 + 1).contains(count);
            assert!(counts.iter().all(is_fair), "{counts:?}");
        }
    }

    #[test]
    fn an_app_keeps_its_identity_in_every_spelling_and_version() {
        for number in 0..100 {
            let name = format!("orders-{number}");
            let upper: AppId = app(&name)
                .to_string()
                .replace("/g/", "/G/")
                .parse()
                .unwrap();
            assert_eq!(identity_of(&app(&name), 3), identity_of(&upper, 3));
        }
        let known = ["orders", "reports", "shop", "web"].map(|name| identity_of(&app(name), 3));
        assert_eq!(known, [2, 1, 2, 0]);
    }

    #[test]
    fn no_identity_is_treated_as_one() {
        assert_eq!(identity_of(&app("orders"), 0), 0);
    }
}
