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
use std::time::Instant;

use crate::reactor::Waker;
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
pub(super) enum Occupation {
    /// A request, or its answer.
    Busy,
    /// Nothing, between two requests.
    Idle,
    /// Nothing but waiting for the peer to close.
    Lingering,
}

/// One connection. Small: there is one for each that is open.
#[derive(Debug)]
struct Seat {
    /// Its channel on the loop, once that is known.
    channel: Option<Key>,
    /// When its occupation was last told.
    since: Stamp,
    occupation: Occupation,
    /// Whether it stands in one of the two lists.
    listed: bool,
    /// Whether it has been asked to go.
    leaving: bool,
}

/// Milliseconds since the worker began. Only compared for being the same, so it may wrap.
type Stamp = u32;

/// The connections of one worker.
#[derive(Debug)]
pub(super) struct Population {
    capacity: Capacity,
    waker: Waker,
    begun: Instant,
    seats: RefCell<Slab<Seat>>,
    /// Empty unless the connections of one address are limited.
    per_address: RefCell<HashMap<IpAddr, u32>>,
    /// Those that were idle or lingering at that time, oldest first. What has become of them since is looked
    /// at when they are taken out, so that a request moves nobody in a list.
    idle: RefCell<VecDeque<(Key, Stamp)>>,
    lingering: RefCell<VecDeque<(Key, Stamp)>>,
    /// Connections that have been asked to go and are still there.
    leaving: Cell<usize>,
    /// Listeners that wait for a place.
    waiting: RefCell<Vec<Key>>,
}

/// A connection's place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    population: Rc<Population>,
    key: Key,
    address: IpAddr,
}

impl Place {
    /// Tells what the connection is doing since `now`; `channel` is its key on the loop.
    pub(super) fn occupy(&self, occupation: Occupation, now: Instant, channel: Key) {
        self.population.occupy(self.key, occupation, now, channel);
    }

    /// Whether the connection has been asked to go; the question is answered with this.
    pub(super) fn take_eviction(&self) -> bool {
        self.population.take_eviction(self.key)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.population.leave(self.key, self.address);
    }
}

impl Population {
    pub(super) fn new(capacity: Capacity, waker: Waker) -> Self {
        Self {
            capacity,
            waker,
            begun: Instant::now(),
            seats: RefCell::default(),
            per_address: RefCell::default(),
            idle: RefCell::default(),
            lingering: RefCell::default(),
            leaving: Cell::new(0),
            waiting: RefCell::default(),
        }
    }

    /// Whether another connection may be accepted; asks an old one to go if that makes room.
    pub(super) fn has_room(&self) -> bool {
        let staying = self.seats.borrow().len().saturating_sub(self.leaving.get());
        staying < self.capacity.connections || self.evict()
    }

    /// Takes a place for a connection from `address`, unless that has as many as it may have.
    pub(super) fn enter(self: &Rc<Self>, address: IpAddr) -> Option<Place> {
        if let Some(most) = self.capacity.per_address {
            let mut per_address = self.per_address.borrow_mut();
            let count = per_address.entry(address).or_default();
            if *count >= most.get() {
                return None;
            }
            *count += 1;
        }
        let occupation = Occupation::Busy;
        let seat = Seat { channel: None, since: 0, occupation, listed: false, leaving: false };
        let key = self.seats.borrow_mut().insert(seat);
        Some(Place { population: Rc::clone(self), key, address })
    }

    /// Brings it about that the listener `key` is woken when a place, and with it a descriptor, is free.
    pub(super) fn wait(&self, key: Key) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.contains(&key) {
            waiting.push(key);
        }
    }

    fn occupy(&self, key: Key, occupation: Occupation, now: Instant, channel: Key) {
        let mut seats = self.seats.borrow_mut();
        let population = seats.len();
        let Some(seat) = seats.get_mut(key) else {
            return;
        };
        let moved = seat.occupation != occupation;
        (seat.occupation, seat.channel) = (occupation, Some(channel));
        let list = match occupation {
            Occupation::Busy => return,
            Occupation::Idle => &self.idle,
            Occupation::Lingering => &self.lingering,
        };
        seat.since = self.stamp(now);
        // An entry of the other list is passed over there, as of a connection that is not idle.
        if !seat.listed || (moved && occupation == Occupation::Lingering) {
            seat.listed = true;
            let mut list = list.borrow_mut();
            list.push_back((key, seat.since));
            // Entries of connections that are gone must not outnumber the others.
            if list.len() > 2 * population + RESERVE {
                list.retain(|(key, _)| seats.contains(*key));
            }
        }
    }

    fn stamp(&self, now: Instant) -> Stamp {
        let millis = now.saturating_duration_since(self.begun).as_millis();
        u32::try_from(millis & u128::from(u32::MAX)).unwrap_or_default()
    }

    /// Asks the connection to go that has been of no use for longest.
    fn evict(&self) -> bool {
        let victim = self
            .oldest(&mut self.lingering.borrow_mut(), Occupation::Lingering)
            .or_else(|| self.oldest(&mut self.idle.borrow_mut(), Occupation::Idle));
        let Some(channel) = victim else {
            return false;
        };
        self.leaving.set(self.leaving.get() + 1);
        self.waker.wake(channel).is_ok()
    }

    /// Takes the oldest connection out of `list` that still does what it is listed for. One that was busy in
    /// between goes to the end, with its later time; twice around, and the oldest has been found.
    fn oldest(&self, list: &mut VecDeque<(Key, Stamp)>, occupation: Occupation) -> Option<Key> {
        let mut seats = self.seats.borrow_mut();
        for _ in 0..2 * list.len() {
            let (key, stamp) = list.pop_front()?;
            let Some(seat) = seats.get_mut(key).filter(|seat| !seat.leaving) else {
                continue;
            };
            if seat.occupation != occupation {
                seat.listed &= seat.occupation == Occupation::Lingering;
            } else if seat.since == stamp {
                (seat.listed, seat.leaving) = (false, true);
                return seat.channel;
            } else {
                list.push_back((key, seat.since));
            }
        }
        None
    }

    fn take_eviction(&self, key: Key) -> bool {
        let mut seats = self.seats.borrow_mut();
        let leaving = seats.get_mut(key).is_some_and(|seat| std::mem::take(&mut seat.leaving));
        if leaving {
            self.leaving.set(self.leaving.get() - 1);
        }
        leaving
    }

    fn leave(&self, key: Key, address: IpAddr) {
        self.take_eviction(key);
        self.seats.borrow_mut().remove(key);
        if self.capacity.per_address.is_some() {
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
