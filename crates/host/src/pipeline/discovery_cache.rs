//! The sites of the scope, their slots, and the secrets that each app references.

use keyrelay_azure::SitesPage;
use keyrelay_model::{AppId, Event, Target};
use keyrelay_records::RemainingSites;
use tokio::time::Instant;

use crate::single_flight::{FetchedAt, SingleFlights};

/// The pages of the lists of sites, their slots, and the secrets that each app references.
///
/// A response of Azure serves an event if it was requested after the event: an app that references
/// the secret later resolves the new version at that moment. So no app is missed because of the
/// cache, concurrent events share their requests, and a delivery that runs out of time leaves only
/// the rest to the next one.
#[derive(Debug, Default)]
pub(crate) struct DiscoveryCache {
    pub(crate) pages: SingleFlights<RemainingSites, SitesPage>,
    pub(crate) slots: SingleFlights<AppId, Vec<AppId>>,
    pub(crate) targets: SingleFlights<AppId, Vec<Target>>,
}

/// The condition under which a cached response serves an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Freshness {
    /// The time at which the event arrived here.
    arrived: Instant,
    /// The time of the event, in seconds since 1970.
    event_time: u64,
}

impl Freshness {
    /// The condition for an event that arrives now.
    pub(crate) fn after(event: &Event) -> Self {
        Self {
            arrived: Instant::now(),
            event_time: event.time,
        }
    }

    /// Whether the response was requested after the event: by our own clock, or in a later second,
    /// because the time of an event is cut to the second.
    pub(crate) fn accepts(&self, fetched_at: &FetchedAt) -> bool {
        fetched_at.moment >= self.arrived || fetched_at.second > self.event_time
    }
}
