//! Limits the connections: in total, and for each peer.
//!
//! When no place is free, the connection that has waited longest for its sender is closed: an idle
//! one, or one whose head does not get complete. The head of an honest sender is complete within
//! milliseconds, so an attacker with many connections loses their own.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::progress::Progress;

/// The places for connections.
#[derive(Debug)]
pub(super) struct Places {
    total: usize,
    for_each_peer: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// At most `total`.
    connections: HashMap<u64, (IpAddr, Arc<Progress>)>,
}

/// The place of one connection, until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    pub(super) progress: Arc<Progress>,
}

impl Places {
    pub(super) fn new(total: usize, for_each_peer: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            for_each_peer,
            taken: Mutex::default(),
        })
    }

    /// Takes a place for a connection of a peer. None: all places are taken by requests that are
    /// being handled.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = network(peer);
        let mut taken = self.taken();
        let of_peer = taken.connections.values().filter(|(it, _)| *it == peer);
        let has_place = if of_peer.count() >= self.for_each_peer {
            taken.evict(|it| it == peer)
        } else if taken.connections.len() >= self.total {
            taken.evict(|_| true)
        } else {
            true
        };
        if !has_place {
            return None;
        }
        let id = taken.next;
        taken.next += 1;
        let progress = Arc::new(Progress::new());
        taken.connections.insert(id, (peer, Arc::clone(&progress)));
        Some(Place {
            places: Arc::clone(self),
            id,
            progress,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Closes the connection that has waited longest, among those of selected peers.
    fn evict(&mut self, is_selected: impl Fn(IpAddr) -> bool) -> bool {
        let selected = self.connections.iter();
        let selected = selected.filter(|(_, (peer, _))| is_selected(*peer));
        let waiting =
            selected.filter_map(|(id, (_, progress))| Some((progress.waiting_since()?, *id)));
        let Some((_, id)) = waiting.min() else {
            return false;
        };
        if let Some((_, progress)) = self.connections.remove(&id) {
            progress.evict();
        }
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().connections.remove(&self.id);
    }
}

/// The address by which a peer is counted. A host with IPv6 usually has a whole /64 network.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    fn is_closed(place: &Place) -> bool {
        place.progress.expired().now_or_never().is_some()
    }

    #[tokio::test]
    async fn a_peer_with_many_connections_loses_its_own() {
        let places = Places::new(10, 2);
        let other = places.take(peer(1)).unwrap();
        let [first, second, third] = [2, 2, 2].map(|number| places.take(peer(number)).unwrap());
        let closed = [&other, &first, &second, &third].map(is_closed);
        assert_eq!(closed, [false, true, false, false]);
        assert_eq!(places.taken().connections.len(), 3);
        drop((first, second, third));
        assert_eq!(places.taken().connections.len(), 1);
    }

    #[tokio::test]
    async fn the_connection_that_waits_longest_makes_room() {
        let places = Places::new(3, 2);
        let [busy, idle, new] = [1, 2, 3].map(|number| places.take(peer(number)).unwrap());
        busy.progress.begun();
        idle.progress.begun();
        idle.progress.answered();
        let [fourth, fifth] = [4, 5].map(|number| places.take(peer(number)).unwrap());
        let closed = [&busy, &idle, &new, &fourth, &fifth].map(is_closed);
        assert_eq!(closed, [false, true, true, false, false]);
    }

    #[tokio::test]
    async fn requests_that_are_handled_keep_their_places() {
        let places = Places::new(2, 1);
        let [first, second] = [1, 2].map(|number| places.take(peer(number)).unwrap());
        first.progress.begun();
        second.progress.begun();
        assert!(places.take(peer(1)).is_none() && places.take(peer(3)).is_none());
        drop(first);
        assert!(places.take(peer(3)).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let [a, b, c, mapped] = [
            "2001:db8::1",
            "2001:db8::ffff:1:2",
            "2001:db8:0:1::1",
            "::ffff:10.0.0.1",
        ]
        .map(|text| network(text.parse().unwrap()));
        assert!(a == b && a != c);
        assert_eq!(mapped, peer(1));
    }
}
