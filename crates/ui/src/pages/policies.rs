//! The policies: what each is, whether it may run, and the rules that use it.

use axum::Extension;
use axum::extract::Path;
use axum::response::Response;
use keyrelay_config::{Config, DEFAULT_POLICY, Rule};
use keyrelay_model::PublicKey;
use keyrelay_sandbox::View;
use maud::{Markup, html};

use super::rule::{grant, limits, secret_of};
use crate::cases::CheckedCase;
use crate::failure::PageFailure;
use crate::page::{self, Page, Section, badge, empty, field, notice, short};
use crate::setup::{CompiledPolicy, InstalledPolicy, LockState, Setup};
use crate::visit::Visit;

pub(crate) async fn show(Extension(visit): Extension<Visit>) -> Result<Response, PageFailure> {
    let setup = visit.sources.setup().await;
    let content = html! {
        p.dim { "The files in " code.break { (setup.folder) } }
        (lock(&setup))
        @match &setup.policies {
            Err(reason) => (notice("bad", reason)),
            Ok(files) if files.is_empty() => (empty("There is no policy in the folder.")),
            Ok(files) => (table(&visit, files)),
        }
    };
    Ok(Page::new("Policies", Section::Policies, content).respond(&visit))
}

fn table(visit: &Visit, files: &[InstalledPolicy]) -> Markup {
    let caption = "Policies, by name";
    page::table(
        caption,
        &["Policy", "State", "What it does", "Digest"],
        html! {
            @for file in files {
                tr {
                    td { a href=(visit.links.policy(&file.name)) { (file.name) } }
                    td { (state(file)) }
                    td.remark {
                        @match &file.compiled {
                            CompiledPolicy::Policy(policy) => (policy.about().summary),
                            CompiledPolicy::Soon => "",
                            CompiledPolicy::Invalid(reason) => (reason),
                        }
                    }
                    td { @if let Some(digest) = file.digest { (short(&digest.to_string())) } }
                }
            }
        },
    )
}

fn state(file: &InstalledPolicy) -> Markup {
    match (&file.compiled, file.quarantined()) {
        (_, Some(_)) => badge("bad", "quarantined"),
        (CompiledPolicy::Soon, None) => badge("dim", "being compiled"),
        _ => badge("good", "loads"),
    }
}

/// The lock, and its signatures.
fn lock(setup: &Setup) -> Markup {
    let lock = match &setup.lock {
        Err(reason) => return notice("bad", reason),
        Ok(None) => {
            return html! { p { "policies.lock does not apply: any policy in the folder may run." } };
        }
        Ok(Some(lock)) => lock,
    };
    let keys: Vec<PublicKey> = lock.keys().collect();
    let trusted = setup
        .config
        .as_ref()
        .ok()
        .map(|config| config.trusted_keys.as_slice());
    let signer = trusted.filter(|trusted| !trusted.is_empty());
    let signer = signer.map(|trusted| lock.signer(trusted));
    html! {
        p {
            "policies.lock applies: only the files that it names may run. "
            @match signer {
                Some(Ok(key)) => { (badge("good", "signed")) " by the trusted key " code.break { (key) } }
                Some(Err(reason)) => { (badge("bad", "not trusted")) " " (reason) }
                None if keys.is_empty() => "It is not signed, and no signature is needed.",
                None => {
                    "No signature is needed. It has signatures by "
                    @for key in keys { code.break { (key) } " " }
                }
            }
        }
    }
}

pub(crate) async fn show_one(
    Extension(visit): Extension<Visit>,
    Path(name): Path<String>,
) -> Result<Response, PageFailure> {
    let setup = visit.sources.setup().await;
    let Some(file) = setup.policy(&name) else {
        return Err(PageFailure::missing(format!(
            "There is no policy `{name}` in the folder. A run may have used one that is no longer there."
        )));
    };
    let checked = visit.sources.evaluate_cases(file).await;
    let content = html! {
        @if let Some(reason) = file.quarantined() {
            (notice("bad", html! { strong { "Quarantined: " } (reason) }))
        }
        (description(file))
        h2 { "Lock and signature" }
        (lock(&setup))
        p { (locked(file.locked)) }
        h2 { "Rules that use it" }
        (rules(&setup, &name))
        h2 { "Cases" }
        (cases(checked.as_deref()))
    };
    Ok(Page::new(format!("Policy {name}"), Section::Policies, content).respond(&visit))
}

fn description(file: &InstalledPolicy) -> Markup {
    html! {
        dl {
            @match &file.compiled {
                CompiledPolicy::Policy(policy) => {
                    @let about = policy.about();
                    (field("Describes itself", html! { (about.name) " " (about.version) ": " (about.summary) }))
                    (field("Decides about", about.occurrences.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))
                    (field("Sees", match about.view {
                        View::References => "the references, and all settings by name when it patches",
                        View::Settings => "all settings by name",
                    }))
                }
                CompiledPolicy::Soon => (field("State", "it is being compiled: open the page again in a few seconds")),
                CompiledPolicy::Invalid(_) => (field("State", "it is no policy")),
            }
            @if let Some(digest) = file.digest { (field("Digest", html! { code.break { (digest) } })) }
            @if let Some(bytes) = file.bytes { (field("Size", format!("{bytes} bytes"))) }
            (field("Precompiled file", if file.is_precompiled { "yes" } else { "no" }))
        }
    }
}

fn locked(state: LockState) -> &'static str {
    match state {
        LockState::NoLock => "Its digest is compared with nothing.",
        LockState::Locked => "Its digest is the locked one.",
        LockState::NotNamed => "The lock does not name it.",
        LockState::Changed => "Its digest is not the locked one: the file has changed.",
    }
}

/// The rules that name a policy, and for `follow` also those that name none.
fn rules(setup: &Setup, name: &str) -> Markup {
    let Ok(config) = &setup.config else {
        return empty("Unknown, because keyrelay.toml cannot be read.");
    };
    let rules: Vec<&Rule> = rules_of(config, name).collect();
    html! {
        @if rules.is_empty() {
            p {
                @if name == DEFAULT_POLICY { "No rule names it: it is for secrets that have no policy of their own, with no grant." }
                @else { "No rule names it: it is for the secret of its name, with no grant." }
            }
            dl { (field("Limits", limits(None))) }
        }
        @for rule in rules {
            h3 { code { "secret = \"" (secret_of(rule)) "\"" } }
            dl {
                (field("Grant", grant(Some(&rule.grant))))
                (field("Limits", limits(Some(rule))))
                @if let Some(mode) = rule.mode { (field("Mode", format!("{mode:?}").to_lowercase())) }
            }
        }
    }
}

fn rules_of<'a>(config: &'a Config, name: &'a str) -> impl Iterator<Item = &'a Rule> {
    config.rules.iter().filter(move |rule| match &rule.policy {
        Some(policy) => policy.eq_ignore_ascii_case(name),
        None => name == DEFAULT_POLICY || rule.secret.to_string().eq_ignore_ascii_case(name),
    })
}

fn cases(cases: Option<&[CheckedCase]>) -> Markup {
    html! {
        @match cases {
            None => (empty("They were not evaluated here: `keyrelay test` does that.")),
            Some([]) => (empty("Its project, with its cases, is not in the folder.")),
            Some(cases) => {
                @let failed = cases.iter().filter(|case| case.failure.is_some()).count();
                p { (cases.len() - failed) " of " (cases.len()) " cases pass." }
                ul {
                    @for case in cases {
                        li {
                            @match &case.failure {
                                None => { (badge("good", "passes")) " " (case.name) }
                                Some(failure) => { (badge("bad", "fails")) " " (case.name) ": " (failure) }
                            }
                        }
                    }
                }
            }
        }
    }
}
