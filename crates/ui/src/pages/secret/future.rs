//! The dry run of a rotation, as a table of the apps.

use keyrelay_config::Mode;
use keyrelay_model::{AppId, ObjectKind, SecretName, VaultHost};
use keyrelay_records::IndexedReference;
use maud::{Markup, html};

use crate::dry_run::{DryResult, DryRotation, DryRun, NEXT_VERSION, event_now};
use crate::page::{self, app_link, badge, difference, empty, lines, notice};
use crate::setup::{CompiledPolicy, Setup};
use crate::visit::Visit;

/// The rotation that would begin now.
#[derive(Debug)]
pub(super) struct FutureRotation<'a> {
    pub(super) setup: &'a Setup,
    pub(super) vault: &'a VaultHost,
    pub(super) secret: &'a SecretName,
    pub(super) kind: ObjectKind,
    pub(super) is_held: bool,
}

impl FutureRotation<'_> {
    /// The section of the page, for these apps.
    pub(super) async fn section(
        &self,
        visit: &Visit,
        apps: &[(&AppId, Vec<&IndexedReference>)],
    ) -> Markup {
        let (Ok(config), Some(route)) = (
            &self.setup.config,
            self.setup.route(self.vault, self.secret),
        ) else {
            return empty("Unknown, because keyrelay.toml cannot be read.");
        };
        if apps.is_empty() {
            return empty("Nothing, because the index knows no app that references it.");
        }
        let file = self.setup.policy(&route.policy);
        if let Some(reason) = file.and_then(|file| file.quarantined()) {
            return notice(
                "bad",
                html! { "It would fail: the policy is quarantined, because " (reason) },
            );
        }
        let policy = match file.map(|file| &file.compiled) {
            Some(CompiledPolicy::Policy(policy)) => policy,
            Some(CompiledPolicy::Soon) => {
                return notice(
                    "dim",
                    "The policy is being compiled. Open the page again in a few seconds.",
                );
            }
            Some(CompiledPolicy::Invalid(_)) | None => {
                return notice(
                    "bad",
                    html! { "It would fail: there is no policy " (route.policy) " in " (self.setup.folder) "." },
                );
            }
        };
        let event = event_now(self.vault, self.secret, self.kind, visit.sources.now());
        let dry_run = DryRun {
            config,
            route: &route,
            policy,
            event: &event,
        };
        let rotations = dry_run.of(apps).await;
        html! {
            p.dim {
                "The policy " (policy.name()) " was asked about a version that does not exist yet, called "
                code { (NEXT_VERSION) } ", with the references that the index knows. It sees no other setting here."
            }
            @if route.mode == Mode::Monitor || self.is_held {
                (notice("warn", "It would only be recorded: no app is changed in this mode."))
            }
            (table(visit, &rotations))
        }
    }
}

fn table(visit: &Visit, rotations: &[DryRotation]) -> Markup {
    let caption = "Decision and plan for the apps above";
    page::table(
        caption,
        &["App", "Decision", "Plan"],
        html! {
            @for rotation in rotations {
                tr {
                    td { (app_link(&visit.links, &rotation.app)) }
                    td { (word(&rotation.result)) }
                    td {
                        (details(&rotation.result))
                        @if !rotation.log.is_empty() { (lines(rotation.log.iter().map(String::as_str))) }
                    }
                }
            }
        },
    )
}

fn word(result: &DryResult) -> Markup {
    match result {
        DryResult::Patch(_) => badge("fair", "patch"),
        DryResult::Refresh => badge("fair", "refresh"),
        DryResult::Nothing(_) => badge("dim", "nothing"),
        DryResult::Refused(_) => badge("bad", "refused"),
        DryResult::Failed(_) => badge("bad", "failed"),
        DryResult::Unknown => badge("dim", "unknown"),
    }
}

fn details(result: &DryResult) -> Markup {
    match result {
        DryResult::Patch(plan) => difference(plan),
        DryResult::Refresh => {
            html! { "the references are refreshed, and the settings stay as they are" }
        }
        DryResult::Nothing(reason) | DryResult::Refused(reason) | DryResult::Failed(reason) => {
            html! { (reason) }
        }
        DryResult::Unknown => html! { "there was no time left to ask the policy" },
    }
}
