//! Checks that the vaults' events reach keyrelay.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use keyrelay_azure::{AzureError, Call, EventSubscription, SystemTopic};

use super::apps::App;
use super::environment::Environment;
use super::finding::Findings;
use crate::out;

/// The event that starts a rotation.
const NEW_VERSION: &str = "Microsoft.KeyVault.SecretNewVersionCreated";

/// The function that receives events, at the end of its resource id.
const FUNCTION: &str = "/functions/SecretEvent";

pub(super) async fn check(
    environment: &Environment,
    apps: &[App],
    call: &Call,
    findings: &mut Findings,
) {
    let vaults = vaults(environment, apps);
    if vaults.is_empty() {
        return;
    }
    let topics = match topics(environment, call).await {
        Ok(topics) => topics,
        Err(error) => {
            let fix = "run this with the role Reader: keyrelay itself needs no right to see event subscriptions";
            return findings.bad(
                "events",
                format!("system topics cannot be listed: {}", out::chain(&error)),
                fix,
            );
        }
    };
    for vault in vaults {
        let topic = topics
            .iter()
            .filter(|topic| source_of(topic).is_some_and(|it| it.eq_ignore_ascii_case(&vault)));
        let mut subscriptions = Vec::new();
        for topic in topic {
            match environment
                .resource_manager
                .event_subscriptions(topic, call)
                .await
            {
                Ok(found) => subscriptions.extend(found),
                Err(error) => {
                    let fix = "run this with the role Reader";
                    findings.bad("events", format!("{vault}: {}", out::chain(&error)), fix);
                }
            }
        }
        report(
            environment,
            &vault,
            &secrets(apps, &vault),
            &subscriptions,
            findings,
        );
    }
}

/// The vaults of the configuration, or those that apps reference, in lower case.
fn vaults(environment: &Environment, apps: &[App]) -> BTreeSet<String> {
    let configured = &environment.config.vaults;
    let referenced = apps
        .iter()
        .flat_map(|app| &app.references)
        .filter_map(|it| it.vault_name.as_deref());
    let is_allowed = |vault: &&str| {
        configured.is_empty() || configured.iter().any(|it| it.eq_ignore_ascii_case(vault))
    };
    let configured = configured.iter().map(|vault| vault.to_lowercase());
    configured
        .chain(referenced.filter(is_allowed).map(str::to_lowercase))
        .collect()
}

/// All system topics in the subscriptions of the scope and of keyrelay itself.
async fn topics(environment: &Environment, call: &Call) -> Result<Vec<SystemTopic>, AzureError> {
    let scopes = environment
        .config
        .scope
        .iter()
        .map(|scope| scope.subscription().to_lowercase());
    let own = environment
        .own
        .iter()
        .map(|own| own.subscription().to_lowercase());
    let mut topics = BTreeMap::new();
    for subscription in scopes.chain(own).collect::<BTreeSet<_>>() {
        let found = environment
            .resource_manager
            .system_topics(&subscription, call)
            .await?;
        topics.extend(
            found
                .into_iter()
                .map(|topic| (topic.id.to_lowercase(), topic)),
        );
    }
    Ok(topics.into_values().collect())
}

/// The vault that is the source of a topic.
fn source_of(topic: &SystemTopic) -> Option<&str> {
    let (kind, name) = topic.source.rsplit_once('/')?;
    let is_vault = kind
        .to_lowercase()
        .ends_with("/providers/microsoft.keyvault/vaults");
    is_vault.then_some(name)
}

/// The secrets of a vault that apps reference.
fn secrets<'a>(apps: &'a [App], vault: &str) -> BTreeSet<&'a str> {
    let references = apps.iter().flat_map(|app| &app.references);
    let is_of = |of: &Option<String>| {
        of.as_deref()
            .is_some_and(|of| of.eq_ignore_ascii_case(vault))
    };
    references
        .filter(|it| is_of(&it.vault_name))
        .filter_map(|it| it.secret_name.as_deref())
        .collect()
}

fn report(
    environment: &Environment,
    vault: &str,
    secrets: &BTreeSet<&str>,
    subscriptions: &[EventSubscription],
    findings: &mut Findings,
) {
    let ours: Vec<&EventSubscription> = subscriptions
        .iter()
        .filter(|it| is_ours(environment, it))
        .collect();
    let Some(first) = ours.first() else {
        return report_missing(environment, vault, subscriptions, findings);
    };
    let starting: Vec<&EventSubscription> = ours
        .iter()
        .copied()
        .filter(|it| starts_rotations(it))
        .collect();
    let Some(good) = starting.first() else {
        let words = format!(
            "{vault}: {} leaves {NEW_VERSION} out, so no rotation is ever started",
            first.name
        );
        let all = [&first.included_event_types[..], &[NEW_VERSION.to_owned()]]
            .concat()
            .join(" ");
        return findings.bad(
            "events",
            words,
            update(first, &format!("--included-event-types {all}")),
        );
    };
    let left_out: Vec<&str> = secrets
        .iter()
        .copied()
        .filter(|secret| !starting.iter().any(|it| takes(it, secret)))
        .collect();
    if !left_out.is_empty() {
        let words = format!(
            "{vault}: the filter of {} leaves {} out",
            good.name,
            left_out.join(", ")
        );
        let fix = update(good, "--subject-begins-with \"\" --subject-ends-with \"\"");
        return findings.bad("events", words, fix);
    }
    report_state(vault, good, findings);
}

/// Reports that no event subscription delivers the vault's events to keyrelay.
fn report_missing(
    environment: &Environment,
    vault: &str,
    subscriptions: &[EventSubscription],
    findings: &mut Findings,
) {
    let elsewhere: Vec<String> = subscriptions
        .iter()
        .map(|it| format!("{} to {}", it.name, it.endpoint))
        .collect();
    let words = match elsewhere.is_empty() {
        true => format!("{vault}: there is no event subscription"),
        false => format!("{vault}: its events go elsewhere: {}", elsewhere.join(", ")),
    };
    let function = match &environment.own {
        Some(own) => format!("{own}{FUNCTION}"),
        None => format!("ID-OF-KEYRELAYS-FUNCTION-APP{FUNCTION}"),
    };
    let fix = format!(
        "az eventgrid system-topic event-subscription create --name keyrelay --resource-group GROUP \
         --system-topic-name TOPIC-OF-{vault} --endpoint-type azurefunction --endpoint {function}  \
         (or let the Terraform module do it)"
    );
    findings.bad("events", words, fix);
}

/// Reports the state of an event subscription whose filters are right.
fn report_state(vault: &str, good: &EventSubscription, findings: &mut Findings) {
    if !good.state.eq_ignore_ascii_case("Succeeded") {
        let words = format!("{vault}: {} is in the state {}", good.name, good.state);
        return findings.bad(
            "events",
            words,
            "deploy the package, then make the event subscription again",
        );
    }
    let has_ended = |text: &String| {
        text.parse::<Timestamp>()
            .is_ok_and(|end| end < Timestamp::now())
    };
    if let Some(end) = good.expires.as_ref().filter(|end| has_ended(end)) {
        let words = format!("{vault}: {} ended at {end}", good.name);
        return findings.bad(
            "events",
            words,
            "make the event subscription again, without an end",
        );
    }
    let kept = if good.has_dead_letter {
        ""
    } else {
        "; no dead letter: what cannot be delivered for a day is dropped"
    };
    findings.good(
        "events",
        format!(
            "{vault}: {} delivers them{}{kept}",
            good.name,
            not_checked(good)
        ),
    );
}

/// A remark about advanced filters, which are not checked: they can drop events by any field.
fn not_checked(subscription: &EventSubscription) -> String {
    match &subscription.advanced_filter_keys[..] {
        [] => String::new(),
        keys => format!(
            " as far as its advanced filters on {}, which are not checked here, let them pass",
            keys.join(", ")
        ),
    }
}

fn starts_rotations(subscription: &EventSubscription) -> bool {
    let types = &subscription.included_event_types;
    types.is_empty()
        || types
            .iter()
            .any(|kind| kind.eq_ignore_ascii_case(NEW_VERSION))
}

/// Whether the events of a secret pass the filter on the subject, which is the secret's name.
fn takes(subscription: &EventSubscription, secret: &str) -> bool {
    let EventSubscription {
        subject_begins_with: begin,
        subject_ends_with: end,
        ..
    } = subscription;
    let secret = secret.to_lowercase();
    secret.starts_with(&begin.to_lowercase()) && secret.ends_with(&end.to_lowercase())
}

/// The command that changes an event subscription.
fn update(subscription: &EventSubscription, change: &str) -> String {
    let after = |word: &str| {
        let mut parts = subscription
            .id
            .split('/')
            .skip_while(|part| !part.eq_ignore_ascii_case(word));
        parts.nth(1).unwrap_or(word).to_owned()
    };
    format!(
        "az eventgrid system-topic event-subscription update --resource-group {} --system-topic-name {} --name {} {change}",
        after("resourceGroups"),
        after("systemTopics"),
        subscription.name
    )
}

/// Whether the events go to keyrelay: to its function, or to a webhook, which has no resource id.
fn is_ours(environment: &Environment, subscription: &EventSubscription) -> bool {
    let endpoint = subscription.endpoint.to_lowercase();
    let function = FUNCTION.to_lowercase();
    match &environment.own {
        Some(own) => {
            endpoint == format!("{own}{FUNCTION}").to_lowercase() || endpoint.ends_with("/events")
        }
        None => endpoint.ends_with(&function) || endpoint.ends_with("/events"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(advanced_filter_keys: &[&str]) -> EventSubscription {
        EventSubscription {
            id: "/subscriptions/s/topics/t/eventSubscriptions/keyrelay".to_owned(),
            name: "keyrelay".to_owned(),
            endpoint: String::new(),
            state: "Succeeded".to_owned(),
            included_event_types: Vec::new(),
            subject_begins_with: String::new(),
            subject_ends_with: String::new(),
            advanced_filter_keys: advanced_filter_keys
                .iter()
                .map(|&key| key.to_owned())
                .collect(),
            has_dead_letter: true,
            expires: None,
        }
    }

    #[test]
    fn filters_that_are_not_checked_are_named() {
        assert_eq!(not_checked(&subscription(&[])), "");
        assert!(
            not_checked(&subscription(&["data.ObjectName", "data.EXP"]))
                .contains("on data.ObjectName, data.EXP,")
        );
    }
}
