//! Reminders of secrets that expire soon: 30, 14, 7 and 1 days ahead, once each.

use keyrelay_model::{Event, ObjectKind, Occurrence, SecretName, SecretVersion, VaultHost};
use keyrelay_records::{Cause, EventRecord, Pending, PostponedEvent};
use keyrelay_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

/// Days before the expiry at which a policy is reminded.
const DAYS: [u64; 4] = [30, 14, 7, 1];

/// A day in seconds.
const DAY: u64 = 24 * 60 * 60;

/// The newest version of a secret that expires.
#[derive(Debug, Clone)]
pub(super) struct Expiring {
    pub(super) vault_host: VaultHost,
    pub(super) secret: SecretName,
    pub(super) version: SecretVersion,
    pub(super) expires: u64,
}

/// The reminders for the newest version: `reminders/<vault>/<secret>.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Reminded {
    version: String,
    days: Vec<u64>,
}

/// Postpones the reminder that is due, if there is one. A secret that is first seen shortly before
/// its expiry causes one reminder, and not one for each day that has passed.
///
/// `now` is in seconds since 1970.
pub(super) async fn remind(
    store: &Store,
    pending: &Pending,
    expiring: &Expiring,
    now: u64,
) -> Result<bool, StoreError> {
    let Some(days) = due(expiring.expires, now) else {
        return Ok(false);
    };
    let event = event(expiring, days, now);
    let reminded = store
        .read_json::<Reminded>(&key(&event))
        .await?
        .map(|(it, _)| it)
        .unwrap_or_default();
    if reminded.version == expiring.version.to_string() && reminded.days.contains(&days) {
        return Ok(false);
    }
    let at = store.now();
    let reason = format!("the version expires within {days} days");
    let event_record = EventRecord::from(&event);
    let postponed = PostponedEvent {
        run: None,
        event: event_record,
        cause: Cause::Reminder,
        due: at,
        since: at,
        reason,
        tried_since: None,
        remaining: Vec::new(),
        apps: Vec::new(),
        claimed_until: None,
    };
    pending.postpone(&postponed).await?;
    mark(store, &event).await?;
    Ok(true)
}

/// Marks a reminder as postponed.
pub(super) async fn mark(store: &Store, event: &Event) -> Result<(), StoreError> {
    let version = event
        .version
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let Some(days) = event.expires.and_then(|expires| due(expires, event.time)) else {
        return Ok(());
    };
    let known = store
        .read_json::<Reminded>(&key(event))
        .await?
        .map(|(it, _)| it)
        .unwrap_or_default();
    let mut reminded = if known.version == version {
        known
    } else {
        Reminded {
            version,
            days: Vec::new(),
        }
    };
    // The earlier reminders have passed with it.
    for passed in DAYS.into_iter().filter(|passed| *passed >= days) {
        if !reminded.days.contains(&passed) {
            reminded.days.push(passed);
        }
    }
    store.write(&key(event), &reminded).await
}

/// The reminder that is due, in days before the expiry. None: the expiry is further away, or has
/// passed.
fn due(expires: u64, now: u64) -> Option<u64> {
    let left = expires.checked_sub(now).filter(|left| *left > 0)?;
    DAYS.into_iter().filter(|days| left <= days * DAY).min()
}

fn event(expiring: &Expiring, days: u64, now: u64) -> Event {
    let Expiring {
        vault_host,
        secret,
        version,
        expires,
    } = expiring.clone();
    Event {
        id: format!("expiry-{days}-{version}"),
        vault_host,
        kind: ObjectKind::Secret,
        name: secret,
        occurrence: Occurrence::ExpiryReminder,
        version: Some(version),
        time: now,
        nanoseconds: 0,
        is_time_of_arrival: false,
        not_before: None,
        expires: Some(expires),
    }
}

fn key(event: &Event) -> String {
    format!("reminders/{}/{}.json", event.vault_host, event.name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reminder_that_passed_last_is_due() {
        let at = |days: u64| due(100 * DAY, 100 * DAY - days * DAY);
        assert_eq!(
            [
                at(31),
                at(30),
                at(15),
                at(14),
                at(8),
                at(7),
                at(2),
                at(1),
                at(0)
            ],
            [
                None,
                Some(30),
                Some(30),
                Some(14),
                Some(14),
                Some(7),
                Some(7),
                Some(1),
                None
            ]
        );
        assert_eq!(due(5, 10), None);
    }

    #[tokio::test]
    async fn each_reminder_is_sent_once_for_each_version() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::folder(folder.path()).unwrap();
        let pending = Pending::new(store.clone());
        let expiring = |version: &str| Expiring {
            vault_host: "contoso-kv.vault.azure.net".parse().unwrap(),
            secret: "sql".parse().unwrap(),
            version: version.parse().unwrap(),
            expires: 100 * DAY,
        };
        let mut sent = Vec::new();
        for (version, days) in [
            ("a1", 40),
            ("a1", 29),
            ("a1", 28),
            ("a1", 10),
            ("a1", 1),
            ("a1", 1),
            ("b2", 5),
            ("b2", 4),
        ] {
            let now = 100 * DAY - days * DAY;
            sent.push(
                remind(&store, &pending, &expiring(version), now)
                    .await
                    .unwrap(),
            );
        }
        assert_eq!(sent, [false, true, false, true, true, false, true, false]);
        assert_eq!(pending.list().await.unwrap().events.len(), 4);
    }
}
