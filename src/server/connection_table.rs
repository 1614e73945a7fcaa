//! Counts the connections of a worker, and chooses the one to close when there is no room for another.
//!
//! A worker holds at most [`Capacity::connections`]. When it has that many and another client connects, it closes the
//! connection that has been of no use for longest: first those that linger, then those between two requests (nginx's
//! `ngx_drain_connections`). A connection in the middle of a request is never closed for another; if all are, accepting
//! waits until one ends.
//!
//! A worker also bounds the input that its connections hold together, of requests that are not whole: with 32 KiB each,
//! 2,000 clients would hold 64 MiB. Above [`MOST_HELD`] those that hold most are told to give it up.
//!
//! The connections themselves are in the reactor's slab. What is known of each here is in a plain vector, at the index of
//! its channel's key.
//!
//! **The longest idle connection** is found without moving anything when a connection becomes busy or idle, which happens
//! twice in every request. There is a list of connections for each of the two activities, oldest first. A connection is
//! appended to it when it first becomes idle, with the time (its *stamp*), and stays there whatever it does afterwards:
//! only its entry in the vector changes. The lists are corrected when a connection has to be closed. From the front: a
//! connection that is busy is dropped from the list, and appended again when it is next idle; one whose entry has a later
//! stamp was busy in between, and goes to the end with that stamp; the first whose stamp is still the one in its entry has
//! been idle since, and is the oldest.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;

use super::capacity::Capacity;
use crate::clock::Instant;
use crate::heartbeat::Shares;
use crate::reactor::{ACCEPTS_PER_PLACE, Admission, Peer, Waker};
use crate::slab::Key;

/// The entries of closed connections that a list may have beside those of the others.
const MAX_STALE: usize = 64;

/// KiB of input that all connections hold together at most. Buffers may be twice as large as what is in them, and 16 MiB
/// are half of what an attack may cost (RULES C18). An ordinary request comes whole, and is held nowhere.
const MOST_HELD: u32 = 8 * 1024;

/// Connections that hold no more than this, in KiB, are left alone: the head of a browser fits.
const FEW_HELD: u8 = 4;

/// This many connections a worker takes without a look at the others: an answer that comes at once is worth more than an
/// equal share of so few.
const FREE: usize = 2;

/// What a connection is doing, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// A request, or its response.
    Busy,
    /// Nothing, between two requests.
    Idle,
    /// Nothing but waiting for the peer to close.
    Lingering,
}

/// How many connections of a worker do what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activities {
    /// Connections with a request, or with its response.
    pub busy: u64,
    /// Connections between two requests, and before the first one.
    pub idle: u64,
    /// Connections that only wait for the peer to close.
    pub lingering: u64,
}

impl Activities {
    /// All connections.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.busy + self.idle + self.lingering
    }

    /// The numbers with their names.
    #[must_use]
    pub fn by_state(&self) -> [(&'static str, u64); 3] {
        [("busy", self.busy), ("idle", self.idle), ("lingering", self.lingering)]
    }
}

/// Why a connection has been asked to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    /// Another one needs its permit.
    Room,
    /// It holds too much input.
    Memory,
}

/// What is known of one connection.
#[derive(Clone, Copy, Debug)]
struct ConnectionEntry {
    /// The key of its channel on the loop.
    channel: Key,
    /// When it last became idle or lingering.
    since: Stamp,
    activity: Activity,
    /// Whether it is in one of the two lists.
    listed: bool,
    /// Whether it has been asked to close, and has not noticed yet.
    leaving: Option<Eviction>,
    /// KiB of input that it holds.
    held: u8,
}

/// Milliseconds since the worker started. Stamps are only compared for equality, so they may wrap. Equal stamps mean that
/// the connection was told its activity in the same turn, because all calls in a turn have one time, or in another turn of
/// the same millisecond, which makes no difference to its age.
type Stamp = u32;

/// The connections of one worker.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    capacity: Capacity,
    /// The view of other workers.
    shares: Shares,
    waker: Waker,
    started: Instant,
    /// How many permits there are.
    count: Cell<usize>,
    /// By the index of the channel's key; `None` where the channel is no connection.
    entries: RefCell<Vec<Option<ConnectionEntry>>>,
    /// Empty unless the connections of one address are limited.
    per_address: RefCell<HashMap<IpAddr, u32>>,
    /// The lists of the module's documentation.
    idle: RefCell<VecDeque<(Key, Stamp)>>,
    lingering: RefCell<VecDeque<(Key, Stamp)>>,
    /// How many connections are leaving.
    leaving: Cell<usize>,
    /// KiB of input that all connections hold, without those that leave for that.
    held: Cell<u32>,
    /// At how many KiB holders are looked for. It is more than [`MOST_HELD`] while connections that hold little exceed that
    /// together, so that each MiB costs a search and not each request.
    evicts_above: Cell<u32>,
    /// Listeners that wait for a permit.
    waiting: RefCell<Vec<Key>>,
}

/// The right of one connection to exist; dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Permit {
    table: Rc<ConnectionTable>,
    /// The index of its entry, once the channel has told its activity.
    index: Cell<Option<u32>>,
    peer: Peer,
}

impl Permit {
    /// The peer of the connection.
    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Replaces the peer of a connection whose proxy has named its client. Returns false if the address has as many as it may
    /// have; nothing has changed then.
    pub(super) fn set_peer(&mut self, peer: Peer) -> bool {
        if !self.table.count_in(peer.ip()) {
            return false;
        }
        self.table.count_out(self.peer.ip());
        self.peer = peer;
        true
    }

    /// Tells what the connection is doing since `now`, and how many bytes of input it holds; `channel` is its key on the
    /// loop.
    pub(super) fn set_activity(&self, activity: Activity, held: usize, now: Instant, channel: Key) {
        self.index.set(Some(channel.index()));
        self.table.set_activity(channel, activity, held, now);
        if self.table.held.get() > self.table.evicts_above.get() {
            self.table.evict_holders();
        }
    }

    /// Whether the connection has been asked to close, and why; it is told once for each time that it was asked.
    pub(super) fn take_eviction(&self) -> Option<Eviction> {
        self.index.get().and_then(|index| self.table.take_eviction(index))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.table.leave(self.index.get(), self.peer.ip());
    }
}

impl Admission for ConnectionTable {
    fn is_full(&self) -> bool {
        self.count.get().saturating_sub(self.leaving.get()) >= self.capacity.connections
    }

    /// Asks the connection to close that has been of no use for longest; returns whether there is one.
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

    /// A share may be an eighth larger than those of the others, so that accepting need not wait for the slowest of them.
    fn is_ahead(&self, now: Instant, waiting: &dyn Fn() -> usize) -> bool {
        let own = self.count.get();
        let is_ahead = |waiting: usize| {
            let fair = self.shares.fair(now, waiting.max(1));
            own >= fair + fair / 8
        };
        // Usually one connection waits; the kernel is asked only if it matters.
        own >= FREE && !self.shares.is_alone() && is_ahead(1) && is_ahead(waiting())
    }

    fn goes_back(&self, now: Instant, accepted: u32) -> bool {
        let has_its_share = || self.count.get() >= self.shares.fair(now, 1);
        !self.shares.is_alone() && (accepted >= ACCEPTS_PER_PLACE || has_its_share())
    }
}

impl ConnectionTable {
    pub(super) fn new(capacity: Capacity, shares: Shares, waker: Waker) -> Self {
        Self {
            capacity,
            shares,
            waker,
            started: Instant::now(),
            count: Cell::new(0),
            entries: RefCell::default(),
            per_address: RefCell::default(),
            idle: RefCell::default(),
            lingering: RefCell::default(),
            leaving: Cell::new(0),
            held: Cell::new(0),
            evicts_above: Cell::new(MOST_HELD),
            waiting: RefCell::default(),
        }
    }

    /// Returns a permit for a connection from `peer`, unless its address has as many as it may have.
    pub(super) fn enter(self: &Rc<Self>, peer: Peer) -> Option<Permit> {
        if !self.count_in(peer.ip()) {
            return None;
        }
        self.set_count(self.count.get() + 1);
        Some(Permit { table: Rc::clone(self), index: Cell::new(None), peer })
    }

    /// Counts a connection of this address, unless it has as many as it may have.
    fn count_in(&self, address: Option<IpAddr>) -> bool {
        if let (Some(most), Some(address)) = (self.capacity.per_address, address) {
            let mut per_address = self.per_address.borrow_mut();
            let count = per_address.entry(address).or_default();
            if *count >= most.get() {
                return false;
            }
            *count += 1;
        }
        true
    }

    fn count_out(&self, address: Option<IpAddr>) {
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
    }

    fn set_count(&self, count: usize) {
        self.count.set(count);
        self.shares.publish(count);
    }

    /// How many connections there are.
    pub(super) fn count(&self) -> usize {
        self.count.get()
    }

    /// Counts the connections by what they do, with a look at each.
    pub(super) fn activities(&self) -> Activities {
        let mut found = Activities::default();
        for entry in self.entries.borrow().iter().flatten() {
            *match entry.activity {
                Activity::Busy => &mut found.busy,
                Activity::Idle => &mut found.idle,
                Activity::Lingering => &mut found.lingering,
            } += 1;
        }
        // Connections that have not told anything yet have sent nothing.
        found.idle += (self.count.get() as u64).saturating_sub(found.open());
        found
    }

    /// Wakes the listener `key` when a permit, and with it a descriptor, is free.
    pub(super) fn wait(&self, key: Key) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.contains(&key) {
            waiting.push(key);
        }
    }

    fn set_activity(&self, channel: Key, activity: Activity, held: usize, now: Instant) {
        let mut entries = self.entries.borrow_mut();
        let index = channel.index() as usize;
        if entries.len() <= index {
            entries.resize(index + 1, None);
        }
        let new = ConnectionEntry { channel, since: 0, activity, listed: false, leaving: None, held: 0 };
        let entry = entries[index].get_or_insert(new);
        let held = u8::try_from(held.div_ceil(1024)).unwrap_or(u8::MAX);
        if held != entry.held && entry.leaving != Some(Eviction::Memory) {
            self.held.set(self.held.get() - u32::from(entry.held) + u32::from(held));
            entry.held = held;
        }
        let moved = entry.activity != activity;
        entry.activity = activity;
        let list = match activity {
            Activity::Busy => return,
            Activity::Idle => &self.idle,
            Activity::Lingering => &self.lingering,
        };
        entry.since = self.stamp(now);
        // A connection that lingers may be in the list of idle ones as well, where it is passed over as a busy one is.
        if !entry.listed || (moved && activity == Activity::Lingering) {
            entry.listed = true;
            let mut list = list.borrow_mut();
            list.push_back((channel, entry.since));
            // Connections that are closed must not outnumber the others.
            if list.len() > 2 * self.count.get() + MAX_STALE {
                list.retain(|(channel, _)| find(&mut entries, *channel).is_some());
            }
        }
    }

    /// Asks the connections that hold most to close, until three quarters of [`MOST_HELD`] are left: so one search serves
    /// for many requests.
    #[cold]
    fn evict_holders(&self) {
        let mut entries = self.entries.borrow_mut();
        let holders =
            entries.iter_mut().flatten().filter(|entry| entry.held > FEW_HELD && entry.leaving.is_none());
        let mut holders: Vec<_> = holders.collect();
        holders.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.held));
        for entry in holders {
            if self.held.get() <= MOST_HELD / 4 * 3 || self.waker.wake(entry.channel).is_err() {
                break;
            }
            self.held.set(self.held.get() - u32::from(std::mem::take(&mut entry.held)));
            entry.leaving = Some(Eviction::Memory);
            self.leaving.set(self.leaving.get() + 1);
        }
        self.look_again_above(self.held.get());
    }

    fn look_again_above(&self, held: u32) {
        self.evicts_above.set(MOST_HELD.max(held + MOST_HELD / 8));
    }

    fn stamp(&self, now: Instant) -> Stamp {
        let millis = now.saturating_duration_since(self.started).as_millis();
        u32::try_from(millis & u128::from(u32::MAX)).unwrap_or_default()
    }

    /// Takes the connection out of `list` that has done nothing but `activity` for longest. After two rounds every stamp in
    /// the list is right: then there is none.
    fn oldest(&self, list: &mut VecDeque<(Key, Stamp)>, activity: Activity) -> Option<Key> {
        let mut entries = self.entries.borrow_mut();
        for _ in 0..2 * list.len() {
            let (channel, stamp) = list.pop_front()?;
            let Some(entry) = find(&mut entries, channel).filter(|entry| entry.leaving.is_none()) else {
                continue;
            };
            if entry.activity != activity {
                // One that lingers is in the other list.
                entry.listed &= entry.activity == Activity::Lingering;
            } else if entry.since == stamp {
                (entry.listed, entry.leaving) = (false, Some(Eviction::Room));
                return Some(channel);
            } else {
                list.push_back((channel, entry.since));
            }
        }
        None
    }

    /// Frees memory that was needed for more connections than there are now.
    pub(super) fn shrink(&self) {
        let mut entries = self.entries.borrow_mut();
        for list in [&self.idle, &self.lingering] {
            let mut list = list.borrow_mut();
            list.retain(|(channel, _)| find(&mut entries, *channel).is_some());
            list.shrink_to_fit();
        }
        let used = entries.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        entries.truncate(used);
        entries.shrink_to_fit();
        self.per_address.borrow_mut().shrink_to_fit();
    }

    fn take_eviction(&self, index: u32) -> Option<Eviction> {
        let mut entries = self.entries.borrow_mut();
        let eviction = entries.get_mut(index as usize).and_then(Option::as_mut)?.leaving.take();
        self.leaving.set(self.leaving.get() - usize::from(eviction.is_some()));
        eviction
    }

    fn leave(&self, index: Option<u32>, address: Option<IpAddr>) {
        if let Some(index) = index {
            self.take_eviction(index);
            let entry = self.entries.borrow_mut()[index as usize].take();
            let held = self.held.get() - entry.map_or(0, |entry| u32::from(entry.held));
            self.held.set(held);
            if held + MOST_HELD / 8 < self.evicts_above.get() {
                self.look_again_above(held);
            }
        }
        self.set_count(self.count.get() - 1);
        self.count_out(address);
        for listener in self.waiting.take() {
            // If a wake fails, the timer of the listener makes up for it.
            let _ = self.waker.wake(listener);
        }
    }
}

/// The entry of `channel`; `None` when that connection is closed, whatever is at its index now.
fn find(entries: &mut [Option<ConnectionEntry>], channel: Key) -> Option<&mut ConnectionEntry> {
    entries.get_mut(channel.index() as usize)?.as_mut().filter(|entry| entry.channel == channel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeat::Heartbeat;
    use crate::reactor::Reactor;
    use crate::slab::Slab;
    use std::num::NonZeroU32;
    use std::time::Duration;

    /// A table, and a slab in place of the loop's: it makes the keys of the channels.
    struct Bench {
        table: Rc<ConnectionTable>,
        channels: Slab<()>,
        _reactor: Reactor,
    }

    impl Bench {
        fn new(connections: usize, per_address: u32) -> Self {
            let reactor = Reactor::new().expect("a reactor");
            let capacity = Capacity { connections, per_address: NonZeroU32::new(per_address) };
            let shares = Heartbeat::unwatched().expect("memory").shares();
            let table = Rc::new(ConnectionTable::new(capacity, shares, reactor.waker()));
            Self { table, channels: Slab::new(), _reactor: reactor }
        }

        /// A new connection from 127.0.0.`last`.
        fn enter(&mut self, last: u8) -> Option<(Permit, Key)> {
            let permit = self.table.enter(Peer::Internet(([127, 0, 0, last], 1).into()))?;
            Some((permit, self.channels.insert(())))
        }

        fn enter_all(&mut self, count: usize) -> Vec<(Permit, Key)> {
            (0..count).map(|_| self.enter(1).expect("a permit")).collect()
        }

        fn set_activity(&self, (permit, channel): &(Permit, Key), activity: Activity, second: u64) {
            permit.set_activity(activity, 0, self.table.started + Duration::from_secs(second), *channel);
        }

        fn listed(&self) -> usize {
            self.table.idle.borrow().len() + self.table.lingering.borrow().len()
        }
    }

    /// Which of them have been asked to close since the last call.
    fn asked(all: &[(Permit, Key)]) -> Vec<usize> {
        let asked = all.iter().enumerate().filter(|(_, (permit, _))| permit.take_eviction().is_some());
        asked.map(|(index, _)| index).collect()
    }

    /// A script has a step per second: `2i`, `2l`, `2b` make connection 2 idle, lingering, busy; `>2` makes room, for which
    /// 2 is asked to close, and `>-` finds none.
    #[test]
    fn the_connection_of_no_use_for_longest_goes_first() {
        for script in [
            "0i 1i 2i >0 >1 >2 >-",
            // Those that linger go before idle ones, and busy ones never.
            "0b 1i 2i 3i 3b 3l >3 >1 >2 >-",
            // One that was busy in between goes to the end, and is listed again.
            "0i 1i 2i 0b 0i 1b >2 >0 >- 1i >1 >-",
        ] {
            let mut bench = Bench::new(4, 0);
            let all = bench.enter_all(4);
            let number = |digit: u8| usize::from(digit - b'0');
            for (second, step) in (0..).zip(script.split(' ')) {
                let (index, activity) = match *step.as_bytes() {
                    [b'>', b'-'] => {
                        assert!(!bench.table.make_room(), "{script}");
                        continue;
                    }
                    [b'>', victim] => {
                        assert!(bench.table.is_full() && bench.table.make_room(), "{script}");
                        assert!(!bench.table.is_full(), "a leaving connection does not count");
                        assert_eq!(asked(&all), [number(victim)], "{script}");
                        continue;
                    }
                    [index, b'i'] => (index, Activity::Idle),
                    [index, b'l'] => (index, Activity::Lingering),
                    [index, b'b'] => (index, Activity::Busy),
                    _ => panic!("not a step: {step}"),
                };
                bench.set_activity(&all[number(index)], activity, second);
                assert!(bench.listed() <= 4, "a request moves nothing in a list");
            }
        }
    }

    #[test]
    fn permits_are_free_again_and_listeners_woken() {
        let mut bench = Bench::new(2, 0);
        let mut all = bench.enter_all(2);
        bench.set_activity(&all[0], Activity::Idle, 0);
        bench.table.wait(all[0].1);
        bench.table.wait(all[0].1);
        assert_eq!(bench.table.waiting.borrow().len(), 1);
        assert!(bench.table.make_room());
        // It closes before it has noticed.
        all.remove(0);
        assert_eq!(bench.table.leaving.get(), 0);
        assert!(!bench.table.is_full());
        assert!(bench.table.waiting.borrow().is_empty());
    }

    /// RULES C9. Nothing is kept of an address without connections.
    #[test]
    fn the_permits_of_an_address_are_bounded() {
        let mut bench = Bench::new(100, 2);
        let (first, _second) = (bench.enter(2).expect("a permit"), bench.enter(2));
        assert!(bench.enter(2).is_none() && bench.enter(3).is_some());
        drop(first);
        assert!(bench.enter(2).is_some());
        assert_eq!(bench.table.per_address.borrow().len(), 1);
    }

    /// The lists do not grow with the connections that have come and gone.
    #[test]
    fn closed_connections_leave_little_behind() {
        let mut bench = Bench::new(100, 0);
        let staying = bench.enter_all(1);
        bench.set_activity(&staying[0], Activity::Idle, 0);
        for second in 1..10_000 {
            let passing = bench.enter(1).expect("a permit");
            bench.set_activity(&passing, Activity::Idle, second);
            bench.set_activity(&passing, Activity::Lingering, second);
            bench.channels.remove(passing.1);
        }
        assert!(bench.listed() <= 2 * (2 * 2 + MAX_STALE), "{} entries", bench.listed());
        assert!(bench.table.make_room());
        assert_eq!(asked(&staying), [0], "the other is still listed");
    }

    /// RULES C25: those that hold most give way, as many as have to, and are told once.
    #[test]
    fn held_input_is_bounded() {
        let mut bench = Bench::new(1000, 0);
        let all = bench.enter_all(400);
        let hold = |index: usize, bytes| {
            all[index].0.set_activity(Activity::Busy, bytes, bench.table.started, all[index].1);
        };
        // 5 KiB each are held by the first ones, little by the next, and 31 KiB by the last.
        (0..100).for_each(|index| hold(index, 5000));
        (100..200).for_each(|index| hold(index, 4096));
        (200..400).for_each(|index| hold(index, 31_000));
        assert_eq!(bench.table.held.get(), 100 * 5 + 100 * 4 + 200 * 31, "within the bound");
        (0..100).for_each(|index| hold(index, 20_000));
        let evicted: Vec<_> =
            (0..400).filter(|index| all[*index].0.take_eviction() == Some(Eviction::Memory)).collect();
        assert!(evicted.iter().all(|index| *index >= 200), "{evicted:?}");
        assert!(bench.table.held.get() <= MOST_HELD && !evicted.is_empty());
        assert_eq!(bench.table.leaving.get(), 0);
        drop(all);
        assert_eq!(bench.table.held.get(), 0);
    }

    /// An idle connection has one entry of each.
    #[test]
    fn entries_are_small() {
        assert_eq!((size_of::<Option<ConnectionEntry>>(), size_of::<(Key, Stamp)>()), (16, 12));
        assert_eq!(size_of::<Permit>(), 48);
    }

    #[test]
    fn an_index_that_is_used_again_is_another_connection() {
        let mut bench = Bench::new(2, 0);
        let first = bench.enter(1).expect("a permit");
        let old = first.1;
        bench.set_activity(&first, Activity::Idle, 0);
        assert!(bench.table.make_room());
        bench.channels.remove(old);
        drop(first);
        let next = bench.enter(1).expect("a permit");
        assert_eq!((next.1.index(), next.1 == old), (old.index(), false));
        bench.set_activity(&next, Activity::Busy, 1);
        assert!(next.0.take_eviction().is_none() && !bench.table.make_room(), "neither asked nor listed");
        drop(next);
        bench.table.shrink();
        assert_eq!((bench.table.entries.borrow().len(), bench.listed()), (0, 0));
    }
}
