//! How many connections there are, and who has to go for a newcomer. (`server::ConnectionTable`)
//!
//! The rules are the reactor's: first those that only linger, then those between two requests, the one that has been
//! so for longest; never one that is in the middle of a request. What differs is that tasks are on any thread: what a
//! connection is doing stands in a word that it writes without a lock, and whoever needs room reads all of them. That
//! costs a look at each when the server is full, where the reactor keeps lists.

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

/// When a crowd of so many goes, its memory is given back: the reactor's figure.
const CROWD: usize = 256;
const A_FEW: usize = 8;

/// What a connection has been asked to do.
const GO: u8 = 1;
const DRAIN: u8 = 2;

/// What it is doing: two bits above the milliseconds at which it began.
const BUSY: u64 = 0;
const IDLE: u64 = 1;
const LINGERING: u64 = 2;
const KIND: u32 = 62;

/// One connection, as others see it.
#[derive(Debug, Default)]
struct ConnectionEntry {
    occupation: AtomicU64,
    commands: AtomicU8,
    /// Wakes its task, which is the same one for as long as it lives.
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
    /// Told whenever a connection has ended.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Seats {
    taken: Slab<Arc<ConnectionEntry>>,
    /// Empty unless the connections of one address are limited.
    per_address: HashMap<IpAddr, u32>,
    /// Connections that have been asked to go and are still there.
    leaving: usize,
    /// How many have ended.
    ended: u64,
    /// No connection gets more than one more answer.
    draining: bool,
    /// The most since memory was last given back.
    crowd: usize,
    crowded: bool,
}

/// A connection's permit; it is free again when this is dropped.
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

    /// Takes a permit, unless the address has as many as it may have.
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

    /// Asks the connection to go that has been of no use for longest; answers whether there is one.
    pub(crate) fn make_room(&self) -> bool {
        let mut entries = self.entries();
        let staying = entries.taken.iter().map(|(_, entry)| entry);
        let staying = staying.filter(|entry| entry.commands.load(Ordering::SeqCst) & GO == 0);
        let useless = staying.filter_map(|entry| {
            let occupation = entry.occupation.load(Ordering::Relaxed);
            // Lingering before idle, and then the oldest.
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

    /// Has every connection take one more request at the most, and those that come later.
    pub(crate) fn drain(&self) {
        let mut entries = self.entries();
        entries.draining = true;
        entries.taken.iter().for_each(|(_, entry)| entry.command(DRAIN));
    }

    /// How many connections have ended: whatever the system was out of, it may have some again when this changes.
    pub(crate) fn ended(&self) -> u64 {
        self.entries().ended
    }

    pub(crate) fn len(&self) -> usize {
        self.entries().taken.len()
    }

    /// Waits until `done`, which is asked again whenever a connection has ended.
    pub(crate) async fn wait_until(&self, done: impl Fn(&Self) -> bool) {
        loop {
            // Before the question, so that an end behind it is not missed.
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
    /// What a crowd took is not kept for the next one.
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

    /// Tells what the connection is doing since `now`.
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

    /// Whether there are commands; if not, the task is woken by the next one.
    pub(crate) fn has_commands(&self, cx: &Context<'_>) -> bool {
        self.entry.task.get_or_init(|| cx.waker().clone());
        self.entry.commands.load(Ordering::SeqCst) != 0
    }

    /// Whether the connection has been asked to take no more; said once.
    pub(crate) fn take_drain(&self) -> bool {
        self.entry.commands.load(Ordering::SeqCst) & DRAIN != 0
            && self.entry.commands.fetch_and(!DRAIN, Ordering::SeqCst) & DRAIN != 0
    }

    /// Whether the connection has been asked to go; the question is answered with this.
    pub(crate) fn take_eviction(&self) -> bool {
        if self.entry.commands.load(Ordering::SeqCst) & GO == 0 {
            return false;
        }
        // Under the lock: `leaving` counts those who have this command.
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
