//! Checks that the vaults' events reach keyrelay.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use keyrelay_azure::{Call, EventSubscription, SystemTopic};

use super::apps::App;
use super::environment::Environment;
use super::finding::{Findings, Subject, without_id};
use super::fix::{Fix, VAULT};
use super::vaults::Vaults;
use crate::out;

/// The event that starts a rotation.
const NEW_VERSION: &str = "Microsoft.KeyVault.SecretNewVersionCreated";

/// The number of subscriptions whose topics are listed concurrently.
const AT_ONCE: usize = 8;

/// The function that receives events, at the end of its resource id.
const FUNCTION: &str = "/functions/SecretEvent";

pub(super) async fn check(
    environment: &Environment,
    apps: &[App],
    vaults: &Vaults,
    call: &Call,
    findings: &mut Findings,
) {
    if vaults.names.is_empty() {
        return;
    }
    let topics = Topics::list(environment, vaults, call).await;
    for vault in &vaults.names {
        let (found, unreadable) = topics.of(vault, vaults);
        let mut subscriptions = Vec::new();
        for topic in &found {
            match environment
                .resource_manager
                .event_subscriptions(topic, call)
                .await
            {
                Ok(found) => subscriptions.extend(found),
                Err(error) => {
                    let fix = "run this with the role Reader";
                    let cause = without_id(&out::chain(&error), vault);
                    findings.bad_for("events", Subject::Vault(vault.clone()), cause, fix);
                }
            }
        }
        if let (true, Some(reason)) = (found.is_empty(), unreadable) {
            let fix = "run this with the role Reader in the subscription of the vault: keyrelay itself needs no right to see event subscriptions";
            let cause = format!("system topics cannot be listed: {reason}");
            findings.bad_for("events", Subject::Vault(vault.clone()), cause, fix);
            continue;
        }
        let secrets = secrets(apps, vault);
        report(environment, vault, &secrets, &subscriptions, findings);
    }
}

/// The system topics of each subscription, by its id in lower case, or the reason why they cannot be
/// listed.
struct Topics(BTreeMap<String, Result<Vec<SystemTopic>, String>>);

impl Topics {
    /// Lists the topics of the subscriptions of the vaults. A topic is in the subscription of its
    /// vault.
    async fn list(environment: &Environment, vaults: &Vaults, call: &Call) -> Self {
        let azure = &environment.resource_manager;
        let lists = stream::iter(&vaults.subscriptions).map(async |subscription| {
            let topics = azure.system_topics(subscription, call).await;
            let topics = topics.map_err(|error| out::chain(&error));
            (subscription.clone(), topics)
        });
        Self(lists.buffered(AT_ONCE).collect().await)
    }

    /// The topics of a vault, and the reason why there may be others.
    fn of(&self, vault: &str, vaults: &Vaults) -> (Vec<&SystemTopic>, Option<&str>) {
        let own = vaults.subscription_of(vault);
        let lists = self.0.iter();
        let lists =
            lists.filter(|(subscription, _)| own.as_ref().is_none_or(|own| own == *subscription));
        let (mut topics, mut unreadable) = (Vec::new(), None);
        for (_, list) in lists {
            match list {
                Ok(list) => topics.extend(list.iter().filter(|topic| is_of(topic, vault))),
                Err(reason) => unreadable = Some(reason.as_str()),
            }
        }
        (topics, unreadable)
    }
}

/// Whether a topic publishes the events of this vault.
fn is_of(topic: &SystemTopic, vault: &str) -> bool {
    source_of(topic).is_some_and(|it| it.eq_ignore_ascii_case(vault))
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
    let cause = match elsewhere.is_empty() {
        true => "there is no event subscription".to_owned(),
        false => format!("its events go elsewhere: {}", elsewhere.join(", ")),
    };
    let function = match &environment.own {
        Some(own) => format!("{own}{FUNCTION}"),
        None => format!("ID-OF-KEYRELAYS-FUNCTION-APP{FUNCTION}"),
    };
    let fix = Fix::command(format!(
        "az eventgrid system-topic event-subscription create --name keyrelay --resource-group GROUP \
         --system-topic-name TOPIC-OF-{VAULT} --endpoint-type azurefunction --endpoint {function}"
    ))
    .then("(or let the Terraform module do it)");
    findings.bad_for("events", Subject::Vault(vault.to_owned()), cause, fix);
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
fn update(subscription: &EventSubscription, change: &str) -> Fix {
    let after = |word: &str| {
        let mut parts = subscription
            .id
            .split('/')
            .skip_while(|part| !part.eq_ignore_ascii_case(word));
        parts.nth(1).unwrap_or(word).to_owned()
    };
    Fix::command(format!(
        "az eventgrid system-topic event-subscription update --resource-group {} --system-topic-name {} --name {} {change}",
        after("resourceGroups"),
        after("systemTopics"),
        subscription.name
    ))
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
