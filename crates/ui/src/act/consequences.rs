//! The consequences of an action, in sentences, before it is carried out.

use keyrelay_model::AppId;
use keyrelay_records::holds::Holds;
use keyrelay_records::resubmission::{failed_since, monitored_by};
use keyrelay_records::{RunId, app_key};
use maud::{Markup, html};

use super::command::Act;
use crate::failure::PageFailure;
use crate::page::{secret_link, time, verdict_badge};
use crate::visit::Visit;

/// The largest number of runs that one form resubmits.
const RUNS: usize = 200;

/// The consequences of an action.
#[derive(Debug)]
pub(super) struct Consequences {
    pub(super) lines: Vec<Markup>,
    /// The runs that the form names, if they are more than the object of the action.
    pub(super) runs: Vec<RunId>,
    /// Whether there is anything to do.
    pub(super) is_possible: bool,
}

/// The time at which the reconcile timer does it.
const TIMER: &str =
    "The reconcile timer does that when it runs next: within a minute with the default schedule.";

/// The rule that no action changes.
const NEVER_BACK: &str = "The decision depends on the state at that time: a version that is no longer the newest does not replace a newer one.";

impl Consequences {
    /// Finds out what an action will do. Reads the store, and changes nothing.
    pub(super) async fn of(visit: &Visit, act: &Act) -> Result<Self, PageFailure> {
        match act {
            Act::Resubmit { run } => of_resubmission(visit, run).await,
            Act::ResubmitFailed { since } => {
                let mut runs = failed_since(&visit.sources.store, *since).await?;
                runs.sort_by(|a, b| b.id.cmp(&a.id));
                let left = runs.len().saturating_sub(RUNS);
                runs.truncate(RUNS);
                let mut lines = vec![html! {
                    "The events of " (runs.len()) " runs are handled again: of each secret the newest run that failed, and that no later run has repaired."
                    ul { @for run in &runs { li {
                        a href=(visit.links.run(&run.id)) { (run.id) } " " (verdict_badge(&run.headline))
                        @if let Some(event) = &run.event { " " (secret_link(&visit.links, &event.vault_host, &event.name)) }
                    } } }
                }];
                if left > 0 {
                    lines.push(html! { (left) " more are left: repeat the action for them." });
                }
                lines.extend([html! { (TIMER) }, html! { (NEVER_BACK) }]);
                let runs: Vec<RunId> = runs.into_iter().map(|run| run.id).collect();
                let is_possible = !runs.is_empty();
                Ok(Self {
                    lines,
                    runs,
                    is_possible,
                })
            }
            Act::Hold { vault, secret } => {
                let held = Holds::new(visit.sources.store.clone())
                    .find(vault, secret)
                    .await?;
                let fleet = visit.sources.fleet().await?;
                let is_of = |host: &str, name: &str| {
                    vault.as_str() == host && secret.as_str().eq_ignore_ascii_case(name)
                };
                let uses = fleet.uses.iter().filter(|it| is_of(&it.vault, &it.secret));
                let lines = vec![
                    html! { "Events of the secret are decided and recorded, and no app is changed, until it is resumed: " (uses.count()) " settings reference it today." },
                    html! { "A rotation that has begun is finished. Azure itself may take a new version for a reference without one, within a day." },
                ];
                Ok(Self::unless(held.map(|hold| hold.note()), lines))
            }
            Act::Resume { vault, secret } => {
                let hold = Holds::new(visit.sources.store.clone())
                    .find(vault, secret)
                    .await?;
                let Some(hold) = hold else {
                    return Ok(Self::unless(
                        Some("The secret is not held.".to_owned()),
                        Vec::new(),
                    ));
                };
                let run = monitored_by(&visit.sources.store, &hold).await?;
                let lines = vec![
                    html! { "Events of the secret change apps again. It was held by " (hold.by) " since " (time(hold.at)) ": " (hold.why) },
                    match run {
                        Some(run) => html! {
                            "The newest run that changed nothing because of that is resubmitted: "
                            a href=(visit.links.run(&run)) { (run) } ". " (TIMER)
                        },
                        None => {
                            html! { "No run has changed nothing because of that, so that nothing is resubmitted." }
                        }
                    },
                ];
                Ok(Self::unless(None, lines))
            }
            Act::VerifyNow { app } => of_verification(visit, app).await,
        }
    }

    /// The consequences, unless there is a reason why the action is impossible.
    fn unless(impossible: Option<String>, lines: Vec<Markup>) -> Self {
        match impossible {
            Some(reason) => Self {
                lines: vec![html! { "Nothing: " (reason) }],
                runs: Vec::new(),
                is_possible: false,
            },
            None => Self {
                lines,
                runs: Vec::new(),
                is_possible: true,
            },
        }
    }
}

async fn of_resubmission(visit: &Visit, run: &RunId) -> Result<Consequences, PageFailure> {
    let run = visit.sources.history().read(run).await?;
    let Some(event) = &run.event else {
        let reason = "The run has no event that could be handled again.".to_owned();
        return Ok(Consequences::unless(Some(reason), Vec::new()));
    };
    let lines = vec![
        html! {
            "The event is handled again, for all apps that use the secret: " (event.event_type) " of "
            (secret_link(&visit.links, &event.vault_host, &event.name))
            @if let Some(version) = &event.version { ", version " code.break { (version) } }
        },
        html! { (TIMER) },
        html! { (NEVER_BACK) },
    ];
    Ok(Consequences::unless(None, lines))
}

async fn of_verification(visit: &Visit, app: &AppId) -> Result<Consequences, PageFailure> {
    let keys = visit.sources.pending().list().await?;
    let own = app_key(app);
    let pending = keys.work.iter().filter(|key| key.app() == Some(&own));
    let lines = vec![
        html! { "The references of the app are read, and repaired if they are behind." },
        html! { "Its pending rotations are due at once: " (pending.count()) " of them." },
        html! { (TIMER) },
    ];
    Ok(Consequences::unless(None, lines))
}
