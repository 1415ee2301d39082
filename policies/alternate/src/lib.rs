//! Alternates an app between two secrets: it uses one while the other can be rotated.

mod secret_pair;

use keyrelay_policy::{App, Decision, Event, Occurrence, Policy, Reference};

use secret_pair::SecretPair;

/// The `alternate` policy.
#[derive(Debug)]
pub struct Alternate;

impl Policy for Alternate {
    const OCCURRENCES: &'static [Occurrence] = &[
        Occurrence::NewVersionCreated,
        Occurrence::NearExpiry,
        Occurrence::Expired,
        Occurrence::ExpiryReminder,
    ];

    fn decide(event: Event, app: App) -> Result<Decision, String> {
        let pair = SecretPair::read(&app.parameters)?;
        let partner = pair.partner_of(&event.name)?;
        Ok(match event.occurrence {
            Occurrence::NewVersionCreated => move_to(&event, partner, pair.pin, &app),
            Occurrence::NearExpiry | Occurrence::Expired | Occurrence::ExpiryReminder => {
                app.point_at(&event, &Reference::to(&event.vault_host, partner))
            }
        })
    }

    fn check_parameters(parameters: &[(String, String)]) -> Result<(), String> {
        SecretPair::read(parameters).map(drop)
    }
}

/// Changes every reference to either secret of the pair to the event's secret, which was rotated.
fn move_to(event: &Event, partner: &str, pin: bool, app: &App) -> Decision {
    let version = event.version.as_deref().filter(|_| pin);
    if pin && version.is_none() {
        return Decision::notice(format!(
            "the event of `{}` names no version to pin to",
            event.name
        ));
    }
    let rotated = Reference {
        version: version.map(str::to_owned),
        ..Reference::to(&event.vault_host, &event.name)
    };
    let of_partner = Event {
        name: partner.to_owned(),
        ..event.clone()
    };
    let own: Vec<(&str, &Reference)> = app.references_to(event).collect();
    let is_there = |reference: &Reference| {
        if pin {
            event.is_pinned_by(reference)
        } else {
            reference.version.is_none()
        }
    };
    let stale = own.iter().filter(|(_, reference)| !is_there(reference));
    let moved = stale
        .map(|(name, _)| *name)
        .chain(app.references_to(&of_partner).map(|(name, _)| name));
    let moved: Vec<(&str, Reference)> = moved.map(|name| (name, rotated.clone())).collect();
    if !moved.is_empty() {
        Decision::set(moved)
    } else if own.is_empty() {
        Decision::skip(format!(
            "no setting of `{}` references `{}` or `{partner}`",
            app.name, event.name
        ))
    } else if pin {
        Decision::skip(format!(
            "every reference to `{}` is pinned to this version already",
            event.name
        ))
    } else {
        Decision::Refresh
    }
}

keyrelay_policy::export!(Alternate);

#[cfg(test)]
mod tests;
