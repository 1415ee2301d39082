//! The rule of a secret, its policy, its grant and its mode.

use keyrelay_config::{Mode, Rule};
use keyrelay_model::{Grant, NamePattern, SecretName, VaultHost};
use keyrelay_records::holds::Hold;
use keyrelay_sandbox::PolicyLimits;
use maud::{Markup, html};

use crate::links::Links;
use crate::page::{badge, field, notice};
use crate::setup::Setup;

pub(crate) fn description(
    links: &Links,
    setup: &Setup,
    vault: &VaultHost,
    secret: &SecretName,
    hold: Option<&Hold>,
) -> Markup {
    let config = match &setup.config {
        Ok(config) => config,
        Err(problems) => return not_readable(problems),
    };
    let Some(route) = setup.route(vault, secret) else {
        return not_readable(&[]);
    };
    let is_accepted = config.accepts_vault(vault.vault());
    html! {
        @if !is_accepted {
            (notice("bad", html! { "`vaults` in keyrelay.toml does not list " (vault.vault()) ": its events are refused." }))
        }
        dl {
            (field("Rule", match route.rule {
                Some(rule) => html! { code { "secret = \"" (secret_of(rule)) "\"" } },
                None => html! { "none: the defaults apply" },
            }))
            (field("Policy", policy(links, setup, &route.policy)))
            (field("Mode", mode(route.mode, hold)))
            (field("Grant", grant(route.rule.map(|rule| &rule.grant))))
            (field("Limits", limits(route.rule)))
            @if let Some(rule) = route.rule {
                // The values are the operator's own configuration, and may name what is not for every reader.
                @if !rule.parameters.is_empty() {
                    (field("Parameters", names(rule.parameters.keys())))
                }
                @if !rule.apps.is_empty() { (field("Apps", format!("{} that the rule names", rule.apps.len()))) }
            }
        }
        p.dim { "From keyrelay.toml beside the policies. App settings that override it are known only in the function app." }
    }
}

fn not_readable(problems: &[String]) -> Markup {
    html! {
        (notice("bad", "keyrelay.toml cannot be read."))
        ul { @for problem in problems { li { (problem) } } }
    }
}

/// The secret of a rule as `vault/name`, or its name alone if the rule names no vault.
pub(crate) fn secret_of(rule: &Rule) -> String {
    let vault = rule.vault.as_ref().map(|vault| format!("{vault}/"));
    format!("{}{}", vault.unwrap_or_default(), rule.secret)
}

fn policy(links: &Links, setup: &Setup, name: &str) -> Markup {
    html! {
        a href=(links.policy(name)) { (name) }
        @match setup.policy(name) {
            None => { " " (badge("bad", "missing")) }
            Some(file) => {
                @if let Some(reason) = file.quarantined() {
                    " " (badge("bad", "quarantined")) " " (reason)
                }
            }
        }
    }
}

fn mode(mode: Mode, hold: Option<&Hold>) -> Markup {
    let word = format!("{mode:?}").to_lowercase();
    html! {
        (word)
        @if hold.is_some() && mode == Mode::Enforce { ", and monitor while it is held" }
    }
}

/// A grant, in words.
pub(crate) fn grant(grant: Option<&Grant>) -> Markup {
    let nothing = html! { "nothing beyond the references to its secret" };
    let Some(grant) = grant.filter(|grant| **grant != Grant::default()) else {
        return nothing;
    };
    let patterns = |patterns: &[NamePattern]| names(patterns.iter().map(NamePattern::as_str));
    html! {
        ul.plain {
            @if !grant.set.is_empty() { li { "set " (patterns(&grant.set)) } }
            @if !grant.remove.is_empty() { li { "remove " (patterns(&grant.remove)) } }
            @if !grant.reveal.is_empty() { li { "reveal " (names(&grant.reveal)) } }
            @if !grant.secrets.is_empty() { li { "reference " (names(&grant.secrets)) } }
            @if grant.text { li { "write plain text" } }
        }
    }
}

fn names(names: impl IntoIterator<Item = impl std::fmt::Display>) -> Markup {
    html! { @for name in names { code.break { (name.to_string()) } " " } }
}

/// The limits of a policy with a rule.
pub(crate) fn limits(rule: Option<&Rule>) -> String {
    let overrides = rule.map(|rule| rule.limits).unwrap_or_default();
    let limits = PolicyLimits::with(overrides.time, overrides.memory);
    format!(
        "{} ms, {} MiB of memory",
        limits.time.as_millis(),
        limits.memory >> 20
    )
}
