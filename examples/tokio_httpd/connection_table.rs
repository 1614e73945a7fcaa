//! The connections of a worker, and the one that makes room for a new one. (`server::ConnectionTable`)
//!
//! The rules are the reactor's: first a lingering connection, then an idle one, of each the longest; never one in the
//! middle of a request. Here tasks are on any thread, so each connection writes its activity into a word without a
//! lock, and an acceptor that needs room reads the words of all connections. That is work for each connection when the
//! server is full; the reactor keeps lists instead.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};

use stheno::clock::Instant;
use stheno::reactor::Peer;
use stheno::server::{Capacity, Driver};
use stheno::slab::{Key, Slab};
use stheno::sys::process;
use tokio::sync::Notify;

/// The number of connections after which memory is given back when they have gone: the reactor's figure.
const CROWD: usize = 256;
const A_FEW: usize = 8;

/// A command to a connection.
const GO: u8 = 1;
const DRAIN: u8 = 2;

/// An activity: two bits above the milliseconds at which it began.
const BUSY: u64 = 0;
const IDLE: u64 = 1;
const LINGERING: u64 = 2;
const KIND: u32 = 62;

/// The part of a connection that other tasks see.
#[derive(Debug, Default)]
struct ConnectionEntry {
    occupation: AtomicU64,
    commands: AtomicU8,
    /// Wakes the task of the connection, which never changes.
    task: OnceLock<Waker>,
}

impl ConnectionEntry {
    fn command(&self, command: u8) {
        self.commands.fetch_or(command, Ordering::SeqCst);
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}

#[derive(Debug)]
pub(crate) struct ConnectionTable {
    capacity: Capacity,
    begun: Instant,
    entries: Mutex<Seats>,
    /// Notified at the end of each connection.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Seats {
    taken: Slab<Arc<ConnectionEntry>>,
    /// Empty unless the connections of one address are limited.
    per_address: HashMap<IpAddr, u32>,
    /// The number of connections that have been told to close and are still open.
    leaving: usize,
    /// The number of connections that have ended.
    ended: u64,
    /// Set while the server drains: each connection gets one more response at most.
    draining: bool,
    /// The most connections since memory was last given back.
    crowd: usize,
    crowded: bool,
}

/// The permit of one connection, released on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    table: Arc<ConnectionTable>,
    entry: Arc<ConnectionEntry>,
    key: Key,
    peer: Peer,
}

impl ConnectionTable {
    pub(crate) fn new(capacity: Capacity) -> Arc<Self> {
        let (begun, entries) = (Instant::now(), Mutex::default());
        Arc::new(Self { capacity, begun, entries, freed: Notify::new() })
    }

    fn entries(&self) -> MutexGuard<'_, Seats> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a permit, unless the address has reached its limit.
    pub(crate) fn enter(self: &Arc<Self>, peer: Peer) -> Option<Permit> {
        let entries = &mut *self.entries();
        if let (Some(most), Some(address)) = (self.capacity.per_address, peer.ip()) {
            let count = entries.per_address.entry(address).or_default();
            if *count >= most.get() {
                return None;
            }
            *count += 1;
        }
        let entry = Arc::<ConnectionEntry>::default();
        if entries.draining {
            entry.command(DRAIN);
        }
        let key = entries.taken.insert(Arc::clone(&entry));
        entries.crowd = entries.crowd.max(entries.taken.len());
        Some(Permit { table: Arc::clone(self), entry, key, peer })
    }

    pub(crate) fn is_full(&self) -> bool {
        let entries = self.entries();
        entries.taken.len().saturating_sub(entries.leaving) >= self.capacity.connections
    }

    /// Tells the connection that has been of no use for the longest time to close. Returns whether there is one.
    pub(crate) fn make_room(&self) -> bool {
        let mut entries = self.entries();
        let staying = entries.taken.iter().map(|(_, entry)| entry);
        let staying = staying.filter(|entry| entry.commands.load(Ordering::SeqCst) & GO == 0);
        let useless = staying.filter_map(|entry| {
            let occupation = entry.occupation.load(Ordering::Relaxed);
            // Lingering before idle, then the oldest.
            let kind = occupation >> KIND;
            (kind != BUSY).then_some((std::cmp::Reverse(kind), occupation, entry))
        });
        let Some(entry) =
            useless.min_by_key(|(kind, since, _)| (*kind, *since)).map(|(_, _, entry)| Arc::clone(entry))
        else {
            return false;
        };
        entries.leaving += 1;
        entry.command(GO);
        true
    }

    /// Lets every connection, present or future, take one more request at most.
    pub(crate) fn drain(&self) {
        let mut entries = self.entries();
        entries.draining = true;
        entries.taken.iter().for_each(|(_, entry)| entry.command(DRAIN));
    }

    /// The number of connections that have ended. When it changes, the system may have free descriptors or memory
    /// again.
    pub(crate) fn ended(&self) -> u64 {
        self.entries().ended
    }

    pub(crate) fn len(&self) -> usize {
        self.entries().taken.len()
    }

    /// Waits until `done` returns true; it is called again at the end of each connection.
    pub(crate) async fn wait_until(&self, done: impl Fn(&Self) -> bool) {
        loop {
            // Registered before the call, so that an end after it is not missed.
            let freed = self.freed.notified();
            if done(self) {
                return;
            }
            freed.await;
        }
    }

    fn leave(&self, permit: &Permit) {
        let entries = &mut *self.entries();
        entries.taken.remove(permit.key);
        entries.ended += 1;
        if permit.entry.commands.load(Ordering::SeqCst) & GO != 0 {
            entries.leaving -= 1;
        }
        if let (Some(_), Some(address)) = (self.capacity.per_address, permit.peer.ip()) {
            let left = entries.per_address.get_mut(&address).map(|count| {
                *count -= 1;
                *count
            });
            if left == Some(0) {
                entries.per_address.remove(&address);
            }
        }
        entries.give_memory_back();
        self.freed.notify_waiters();
    }
}

impl Seats {
    /// Gives back the memory of connections that have gone.
    fn give_memory_back(&mut self) {
        let now = self.taken.len();
        self.crowded |= self.crowd >= CROWD;
        if self.crowded && now <= self.crowd / 4 {
            self.crowd = now;
            self.crowded = now >= A_FEW;
            self.taken.shrink();
            self.per_address.shrink_to_fit();
            process::release_memory();
        }
    }
}

impl Permit {
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Records the activity of the connection since `now`.
    pub(crate) fn set_activity(&self, driver: &Driver, now: Instant) {
        let kind = if driver.is_idle() {
            IDLE
        } else if driver.connection().is_lingering() {
            LINGERING
        } else {
            BUSY
        };
        let millis = now.saturating_duration_since(self.table.begun).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX) & ((1 << KIND) - 1);
        self.entry.occupation.store(kind << KIND | millis, Ordering::Relaxed);
    }

    /// Whether there are commands; otherwise the next one wakes the task.
    pub(crate) fn has_commands(&self, cx: &Context<'_>) -> bool {
        self.entry.task.get_or_init(|| cx.waker().clone());
        self.entry.commands.load(Ordering::SeqCst) != 0
    }

    /// Whether the connection has been told to take no more requests; true once.
    pub(crate) fn take_drain(&self) -> bool {
        self.entry.commands.load(Ordering::SeqCst) & DRAIN != 0
            && self.entry.commands.fetch_and(!DRAIN, Ordering::SeqCst) & DRAIN != 0
    }

    /// Whether the connection has been told to close; the command is taken.
    pub(crate) fn take_eviction(&self) -> bool {
        if self.entry.commands.load(Ordering::SeqCst) & GO == 0 {
            return false;
        }
        // Under the lock: `leaving` counts the connections that have this command.
        let mut entries = self.table.entries();
        let asked = self.entry.commands.fetch_and(!GO, Ordering::SeqCst) & GO != 0;
        entries.leaving -= usize::from(asked);
        asked
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.table.leave(self);
    }
}
