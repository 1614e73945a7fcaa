//! How many connections a worker has, and who has to go when there is no room for another.
//!
//! A worker holds at most [`Capacity::connections`]. When all places are taken and another client knocks,
//! the connection is closed that has waited longest for nothing: first those that only linger, then those
//! between two requests (nginx's `ngx_drain_connections`). A connection that is in the middle of a request
//! is never closed for another; if all are, accepting waits until one of them ends.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::rc::Rc;

use crate::clock::Instant;
use crate::reactor::{Admission, Peer, Waker};
use crate::slab::{Key, Slab};

/// Descriptors that a worker needs beside those of its connections: standard streams, logs, listeners, the
/// loop, signals, the root, and a reserve.
const RESERVE: usize = 64;

/// Descriptors of one connection that is being answered: its socket, and the file.
const PER_CONNECTION: usize = 2;

/// What a worker has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address.
    pub per_address: Option<NonZeroU32>,
}

impl Capacity {
    /// How many connections go with so many descriptors: each has its socket and a file, and some are kept
    /// back. Where there are too few for that, half of them are.
    #[must_use]
    pub fn fitting(descriptors: usize) -> usize {
        let reserve = RESERVE.min(descriptors / 2);
        ((descriptors - reserve) / PER_CONNECTION).max(1)
    }

    /// How many descriptors a worker should have for so many connections.
    #[must_use]
    pub fn descriptors_for(connections: usize) -> usize {
        connections.saturating_mul(PER_CONNECTION).saturating_add(RESERVE)
    }
}

/// What a connection is doing, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// A request, or its answer.
    Busy,
    /// Nothing, between two requests.
    Idle,
    /// Nothing but waiting for the peer to close.
    Lingering,
}

/// One connection. Small: there is one for each that is open.
#[derive(Debug)]
struct ConnectionEntry {
    /// Its channel on the loop, once that is known.
    channel: Option<Key>,
    /// When its activity was last told.
    since: Stamp,
    activity: Activity,
    /// Whether it stands in one of the two lists.
    listed: bool,
    /// Whether it has been asked to go.
    leaving: bool,
}

/// Milliseconds since the worker began. Only compared for being the same, so it may wrap.
type Stamp = u32;

/// The connections of one worker.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    capacity: Capacity,
    waker: Waker,
    begun: Instant,
    entries: RefCell<Slab<ConnectionEntry>>,
    /// Empty unless the connections of one address are limited.
    per_address: RefCell<HashMap<IpAddr, u32>>,
    /// Those that were idle or lingering at that time, oldest first. What has become of them since is looked
    /// at when they are taken out, so that a request moves nobody in a list.
    idle: RefCell<VecDeque<(Key, Stamp)>>,
    lingering: RefCell<VecDeque<(Key, Stamp)>>,
    /// Connections that have been asked to go and are still there.
    leaving: Cell<usize>,
    /// Listeners that wait for a permit.
    waiting: RefCell<Vec<Key>>,
}

/// A connection's permit; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    population: Rc<ConnectionTable>,
    key: Key,
    peer: Peer,
}

impl Permit {
    /// Whose it is.
    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Tells what the connection is doing since `now`; `channel` is its key on the loop.
    pub(super) fn set_activity(&self, activity: Activity, now: Instant, channel: Key) {
        self.population.set_activity(self.key, activity, now, channel);
    }

    /// Whether the connection has been asked to go; the question is answered with this.
    pub(super) fn take_eviction(&self) -> bool {
        self.population.take_eviction(self.key)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.population.leave(self.key, self.peer.ip());
    }
}

impl Admission for ConnectionTable {
    fn is_full(&self) -> bool {
        let staying = self.entries.borrow().len().saturating_sub(self.leaving.get());
        staying >= self.capacity.connections
    }

    /// Asks the connection to go that has been of no use for longest; answers whether there is one.
    fn make_room(&self) -> bool {
        let victim = self
            .oldest(&mut self.lingering.borrow_mut(), Activity::Lingering)
            .or_else(|| self.oldest(&mut self.idle.borrow_mut(), Activity::Idle));
        let Some(channel) = victim else {
            return false;
        };
        self.leaving.set(self.leaving.get() + 1);
        self.waker.wake(channel).is_ok()
    }
}

impl ConnectionTable {
    pub(super) fn new(capacity: Capacity, waker: Waker) -> Self {
        Self {
            capacity,
            waker,
            begun: Instant::now(),
            entries: RefCell::default(),
            per_address: RefCell::default(),
            idle: RefCell::default(),
            lingering: RefCell::default(),
            leaving: Cell::new(0),
            waiting: RefCell::default(),
        }
    }

    /// Takes a permit for a connection from `peer`, unless its address has as many as it may have.
    pub(super) fn enter(self: &Rc<Self>, peer: Peer) -> Option<Permit> {
        if let (Some(most), Some(address)) = (self.capacity.per_address, peer.ip()) {
            let mut per_address = self.per_address.borrow_mut();
            let count = per_address.entry(address).or_default();
            if *count >= most.get() {
                return None;
            }
            *count += 1;
        }
        let activity = Activity::Busy;
        let entry = ConnectionEntry { channel: None, since: 0, activity, listed: false, leaving: false };
        let key = self.entries.borrow_mut().insert(entry);
        Some(Permit { population: Rc::clone(self), key, peer })
    }

    /// Brings it about that the listener `key` is woken when a permit, and with it a descriptor, is free.
    pub(super) fn wait(&self, key: Key) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.contains(&key) {
            waiting.push(key);
        }
    }

    fn set_activity(&self, key: Key, activity: Activity, now: Instant, channel: Key) {
        let mut entries = self.entries.borrow_mut();
        let population = entries.len();
        let Some(entry) = entries.get_mut(key) else {
            return;
        };
        let moved = entry.activity != activity;
        (entry.activity, entry.channel) = (activity, Some(channel));
        let list = match activity {
            Activity::Busy => return,
            Activity::Idle => &self.idle,
            Activity::Lingering => &self.lingering,
        };
        entry.since = self.stamp(now);
        // An entry of the other list is passed over there, as of a connection that is not idle.
        if !entry.listed || (moved && activity == Activity::Lingering) {
            entry.listed = true;
            let mut list = list.borrow_mut();
            list.push_back((key, entry.since));
            // Entries of connections that are gone must not outnumber the others.
            if list.len() > 2 * population + RESERVE {
                list.retain(|(key, _)| entries.contains(*key));
            }
        }
    }

    fn stamp(&self, now: Instant) -> Stamp {
        let millis = now.saturating_duration_since(self.begun).as_millis();
        u32::try_from(millis & u128::from(u32::MAX)).unwrap_or_default()
    }

    /// Takes the oldest connection out of `list` that still does what it is listed for. One that was busy in
    /// between goes to the end, with its later time; twice around, and the oldest has been found.
    fn oldest(&self, list: &mut VecDeque<(Key, Stamp)>, activity: Activity) -> Option<Key> {
        let mut entries = self.entries.borrow_mut();
        for _ in 0..2 * list.len() {
            let (key, stamp) = list.pop_front()?;
            let Some(entry) = entries.get_mut(key).filter(|entry| !entry.leaving) else {
                continue;
            };
            if entry.activity != activity {
                entry.listed &= entry.activity == Activity::Lingering;
            } else if entry.since == stamp {
                (entry.listed, entry.leaving) = (false, true);
                return entry.channel;
            } else {
                list.push_back((key, entry.since));
            }
        }
        None
    }

    /// Gives memory back that was needed for more connections than there are now.
    pub(super) fn shrink(&self) {
        let mut entries = self.entries.borrow_mut();
        for list in [&self.idle, &self.lingering] {
            let mut list = list.borrow_mut();
            list.retain(|(key, _)| entries.contains(*key));
            list.shrink_to_fit();
        }
        entries.shrink();
        self.per_address.borrow_mut().shrink_to_fit();
    }

    fn take_eviction(&self, key: Key) -> bool {
        let mut entries = self.entries.borrow_mut();
        let leaving = entries.get_mut(key).is_some_and(|entry| std::mem::take(&mut entry.leaving));
        if leaving {
            self.leaving.set(self.leaving.get() - 1);
        }
        leaving
    }

    fn leave(&self, key: Key, address: Option<IpAddr>) {
        self.take_eviction(key);
        self.entries.borrow_mut().remove(key);
        if let (Some(_), Some(address)) = (self.capacity.per_address, address) {
            let mut per_address = self.per_address.borrow_mut();
            let left = per_address.get_mut(&address).map(|count| {
                *count -= 1;
                *count
            });
            if left == Some(0) {
                per_address.remove(&address);
            }
        }
        for listener in self.waiting.take() {
            // A wake that fails is made up for by the listener's own timer.
            let _ = self.waker.wake(listener);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::Reactor;
    use std::time::Duration;

    /// A population, and channels for it to name: keys of a slab of their own.
    struct Bench {
        population: Rc<ConnectionTable>,
        start: Instant,
        channels: Slab<()>,
        _reactor: Reactor,
    }

    impl Bench {
        fn new(connections: usize, per_address: u32) -> Self {
            let reactor = Reactor::new().expect("a reactor");
            let capacity = Capacity { connections, per_address: NonZeroU32::new(per_address) };
            let population = Rc::new(ConnectionTable::new(capacity, reactor.waker()));
            Self { population, start: Instant::now(), channels: Slab::new(), _reactor: reactor }
        }

        /// A newcomer from the address with this last number.
        fn enter(&mut self, last: u8) -> Option<(Permit, Key)> {
            let permit = self.population.enter(Peer::Internet(([127, 0, 0, last], 1).into()))?;
            Some((permit, self.channels.insert(())))
        }

        /// So many newcomers, each of which does this at a time of its own: second by second.
        fn enter_all(&mut self, count: u64, activity: Activity) -> Vec<(Permit, Key)> {
            let enter = |second| {
                let one = self.enter(1).expect("a permit");
                self.set_activity(&one, activity, second);
                one
            };
            (0..count).map(enter).collect()
        }

        fn set_activity(&self, (permit, channel): &(Permit, Key), activity: Activity, second: u64) {
            permit.set_activity(activity, self.start + Duration::from_secs(second), *channel);
        }

        fn listed(&self) -> usize {
            self.population.idle.borrow().len() + self.population.lingering.borrow().len()
        }
    }

    /// Which of them have been asked to go; asking is answered.
    fn asked(all: &[(Permit, Key)]) -> Vec<usize> {
        let asked = all.iter().enumerate().filter(|(_, (permit, _))| permit.take_eviction());
        asked.map(|(index, _)| index).collect()
    }

    #[test]
    fn who_has_been_idle_longest_goes_first() {
        let mut bench = Bench::new(3, 0);
        let all = bench.enter_all(3, Activity::Idle);
        assert!(bench.population.is_full());
        assert!(bench.population.make_room());
        assert!(!bench.population.is_full(), "whoever leaves does not count");
        assert_eq!(asked(&all), [0]);
        assert!(bench.population.is_full(), "it has been asked, and is still there");
        assert!(bench.population.make_room() && bench.population.make_room());
        assert_eq!(asked(&all), [1, 2]);
        assert!(!bench.population.make_room(), "nobody is left to be asked");
    }

    #[test]
    fn whoever_lingers_goes_before_the_idle_and_the_busy_never() {
        let mut bench = Bench::new(4, 0);
        let mut all = bench.enter_all(1, Activity::Busy);
        all.extend(bench.enter_all(2, Activity::Idle));
        all.extend(bench.enter_all(1, Activity::Idle));
        bench.set_activity(&all[3], Activity::Busy, 10);
        bench.set_activity(&all[3], Activity::Lingering, 11);
        for victim in [3, 1, 2] {
            assert!(bench.population.make_room());
            assert_eq!(asked(&all), [victim]);
        }
        assert!(!bench.population.make_room(), "the busy one stays");
    }

    /// A request moves nobody in a list; the list is set right when it is looked at.
    #[test]
    fn who_was_busy_in_between_goes_to_the_end() {
        let mut bench = Bench::new(3, 0);
        let all = bench.enter_all(3, Activity::Idle);
        bench.set_activity(&all[0], Activity::Busy, 10);
        bench.set_activity(&all[0], Activity::Idle, 11);
        bench.set_activity(&all[1], Activity::Busy, 12);
        assert_eq!(bench.listed(), 3);
        assert!(bench.population.make_room());
        assert_eq!(asked(&all), [2]);
        assert!(bench.population.make_room());
        assert_eq!(asked(&all), [0]);
        assert!(!bench.population.make_room());
        bench.set_activity(&all[1], Activity::Idle, 13);
        assert!(bench.population.make_room(), "it is listed again");
        assert_eq!(asked(&all), [1]);
    }

    #[test]
    fn places_are_free_again_and_listeners_woken() {
        let mut bench = Bench::new(2, 0);
        let mut all = bench.enter_all(2, Activity::Idle);
        bench.population.wait(all[0].1);
        bench.population.wait(all[0].1);
        assert_eq!(bench.population.waiting.borrow().len(), 1);
        assert!(bench.population.make_room());
        // It goes before it has been told.
        all.remove(0);
        assert_eq!(bench.population.leaving.get(), 0);
        assert!(!bench.population.is_full());
        assert!(bench.population.waiting.borrow().is_empty());
    }

    #[test]
    fn an_address_has_so_many_places() {
        let mut bench = Bench::new(100, 2);
        let unaddressed: Vec<_> =
            (0..5).map(|_| bench.population.enter(Peer::Unix).expect("a permit")).collect();
        drop(unaddressed);
        let first = bench.enter(2).expect("a permit");
        let _second = bench.enter(2).expect("a permit");
        assert!(bench.enter(2).is_none());
        assert!(bench.enter(3).is_some());
        drop(first);
        assert!(bench.enter(2).is_some());
        assert_eq!(bench.population.per_address.borrow().len(), 1, "nothing is kept of who is gone");
    }

    /// The lists do not grow with the connections that have come and gone.
    #[test]
    fn what_is_kept_of_the_departed_is_bounded() {
        let mut bench = Bench::new(100, 0);
        let staying = bench.enter_all(10, Activity::Idle);
        for second in 0..10_000 {
            let activity = if second % 2 == 0 { Activity::Idle } else { Activity::Lingering };
            let passing = bench.enter(1).expect("a permit");
            bench.set_activity(&passing, Activity::Idle, second);
            bench.set_activity(&passing, activity, second);
        }
        assert!(bench.listed() <= 2 * (2 * 11 + RESERVE), "{} entries", bench.listed());
        assert!(bench.population.make_room());
        assert_eq!(asked(&staying), [0], "those who stayed are still listed, in their order");
    }

    #[test]
    fn a_capacity_fits_its_descriptors() {
        assert_eq!([1, 2, 64, 1024].map(Capacity::fitting), [1, 1, 16, 480]);
        assert_eq!(Capacity::fitting(Capacity::descriptors_for(5000)), 5000);
    }
}
