//! Slots follow the newest version, production is pinned to it; the owner of a secret is told when
//! it expires.

use keyrelay_policy::{App, Decision, Event, Occurrence, Policy, Reference};

struct Rule;

impl Policy for Rule {
    const OCCURRENCES: &'static [Occurrence] =
        &[Occurrence::NewVersionCreated, Occurrence::NearExpiry, Occurrence::Expired];

    fn check_parameters(parameters: &[(String, String)]) -> Result<(), String> {
        if let Some((name, _)) = parameters.iter().find(|(name, _)| name != "owner") {
            return Err(format!("there is no parameter `{name}`: only `owner`, who renews the secret"));
        }
        match parameters.first() {
            Some((_, owner)) if !owner.is_empty() => Ok(()),
            _ => Err("say who renews the secret: parameters = { owner = \"...\" }".to_owned()),
        }
    }

    fn decide(event: Event, app: App) -> Result<Decision, String> {
        let name = &event.name;
        match event.occurrence {
            Occurrence::NewVersionCreated => new_version(&event, &app),
            Occurrence::Expired => Ok(report(&app, &format!("`{name}` has expired"))),
            _ => Ok(report(&app, &format!("`{name}` expires {}", when(&event)))),
        }
    }
}

fn new_version(event: &Event, app: &App) -> Result<Decision, String> {
    let references: Vec<(&str, &Reference)> = app.references_to(event).collect();
    if references.is_empty() {
        return Ok(Decision::skip(format!("{} does not reference `{}`", app.name, event.name)));
    }
    let version = event.version.as_ref().ok_or("the event has no version")?;
    // References in a slot get no version, those in production the version of the event.
    let wanted = app.slot.is_none().then_some(version);
    let stale: Vec<(&str, Reference)> = references
        .into_iter()
        .filter(|(_, reference)| reference.version.as_ref() != wanted)
        .map(|(setting, reference)| (setting, Reference { version: wanted.cloned(), ..reference.clone() }))
        .collect();
    Ok(match (stale.is_empty(), app.slot.is_some()) {
        (false, _) => Decision::set(stale),
        (true, true) => Decision::Refresh,
        (true, false) => Decision::skip(format!("already pinned to {version}")),
    })
}

fn when(event: &Event) -> String {
    match event.expires {
        Some(expires) => format!("in {} days", expires.saturating_sub(event.time) / 86_400),
        None => "soon".to_owned(),
    }
}

fn report(app: &App, what: &str) -> Decision {
    Decision::notice(format!("{what}: {} has to renew it", app.parameter("owner").unwrap_or_default()))
}

keyrelay_policy::export!(Rule);
