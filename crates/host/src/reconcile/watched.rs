//! The rules for secrets and apps: whether their events are handled, and whether they change an app.

use keyrelay_config::{Mode, Route, route_of};
use keyrelay_model::AppId;
use keyrelay_records::IndexedRule;

use super::comparison::Comparison;
use super::pass::Pass;
use crate::index::SecretOf;

/// Whether events of the secret would be handled for the app.
pub(super) fn is_watched(
    pass: &Pass<'_>,
    comparison: &Comparison,
    secret: &SecretOf,
    app: &AppId,
) -> bool {
    let route = watched_route(pass, comparison, secret);
    route.is_some_and(|route| {
        let named = route.rule.map(|rule| &rule.apps);
        named.is_none_or(|apps| apps.is_empty() || apps.contains(app))
    })
}

/// The route of events of the secret. None: they would not be handled for any app.
pub(super) fn watched_route<'a>(
    pass: &'a Pass<'_>,
    comparison: &Comparison,
    (vault, secret): &SecretOf,
) -> Option<Route<'a>> {
    let config = &pass.services.config;
    let vault = vault.vault();
    let route = route_of(config, &comparison.policies, vault, secret);
    Some(route).filter(|route| config.accepts_vault(vault) && route.mode != Mode::Off)
}

/// The rule of a secret, for the index, where `status` and the pages find it.
pub(super) fn indexed_rule(
    pass: &Pass<'_>,
    comparison: &Comparison,
    (vault, secret): &SecretOf,
) -> IndexedRule {
    let config = &pass.services.config;
    let vault = vault.vault();
    let route = route_of(config, &comparison.policies, vault, secret);
    let is_of_rule = route.rule.is_some_and(|rule| rule.mode == Some(route.mode));
    let by = if is_of_rule {
        "its rule has"
    } else {
        "the installation has"
    };
    let unwatched = match route.mode {
        _ if !config.accepts_vault(vault) => Some(format!("`vaults` does not list `{vault}`")),
        Mode::Off => Some(format!("{by} the mode `off`")),
        Mode::Monitor => Some(format!("{by} the mode `monitor`")),
        Mode::Enforce => None,
    };
    let named = route.rule.into_iter().flat_map(|rule| &rule.apps);
    IndexedRule {
        unwatched,
        apps: named.map(|app| app.to_string().to_lowercase()).collect(),
    }
}
