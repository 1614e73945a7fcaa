//! asyncore: one loop over everything that can be ready.
//!
//! ```text
//!         ┌──────────────────────────────── turn ────────────────────────────────┐
//!         │ poll ──► events and wakes ──► again list ──► timers ──► calls        │
//!         └───┬──────────────────────────────────────────────────────────────────┘
//!             ▼ dispatch(key)
//!         slab[key] ──► handle_read / handle_write / handle_timeout / …
//! ```
//!
//! [`Reactor::turn`] waits once and calls the hooks of every [`Dispatcher`] that is ready; [`Reactor::run`]
//! turns until nothing is left (`asyncore.loop`). [`SimpleLoop`] is asyncore's own loop, with the choice
//! between select(2), poll(2) and this one, to see what it costs to ask everyone.
//!
//! **Edge-triggered.** asyncore asked the kernel in every turn about every socket. Here a channel is
//! registered once, for reading, and once more if a write ever does not fit, and the kernel tells of each
//! *change* once. The reactor remembers it in two bits per channel until a call says "would block". So a hook
//! may stop early (its budget is spent), and the channel goes on the *again* list: the next turn does not
//! wait, and those first on the list go on in it. It must never just return with input unread and no bit
//! kept, for no further event would come.
//!
//! **Stale events.** A token carries the generation of its slab slot. An event for a channel that was
//! closed in the same turn finds nothing.
//!
//! **Register late.** A channel that is handed over ([`Context::adopt`]) is dispatched at once, as if it were
//! ready, and registered only if it is still open afterwards. A connection that asks, is answered and
//! closes never meets epoll.
//!
//! **Panics** are caught here: one channel is lost, never the loop.
//!
//! ```no_run
//! use stheno::reactor::Reactor;
//! let mut reactor = Reactor::new()?;
//! // reactor.add(channel);
//! reactor.run()?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod asking;
mod calls;
mod chat_channel;
mod dispatcher;
mod lent;
mod listener;
mod probe;
mod shared;
mod simple_loop;
mod slot;
mod socket;
mod source;
mod transmit;
mod waker;
mod with_send;

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use log::{debug, error};
use mio::{Events, Poll};

pub use calls::{CallContext, CallKey};
pub use chat_channel::ChatChannel;
pub use dispatcher::{Context, Dispatcher};
pub use listener::{AcceptMode, AcceptOutcome, Admission, Listener};
pub use probe::{Hook, NoProbe, Probe, Readiness};
pub use shared::{NoSource, SharedSource};
pub use simple_loop::{Poller, SimpleLoop};
pub use socket::{ListenSocket, Peer, Stream};
pub use source::{FileDispatcher, FileWrapper};
pub use transmit::{Transmitted, transmit};
pub use waker::Waker;
pub use with_send::DispatcherWithSend;

use crate::clock::{Instant, Now};
use crate::slab::{Key, Slab};
use crate::timers::{Armed, Timers};
use lent::Core;
use slot::{Budget, Cause, Registered, Slot, Wishes, call_channel};

/// How many events one call to the kernel brings. More only makes the turn longer.
const EVENTS: usize = 1024;

/// Bytes that one channel may read in one turn: enough to keep a fast network busy, little enough that a flood does
/// not hold up everyone else (lighttpd's figure).
pub const READ_PER_TURN: u32 = 256 * 1024;

/// Bytes that one channel may write in one turn. A file leaves in large pieces or in expensive ones; this takes about
/// two tenths of a millisecond (nginx's figure).
pub const WRITE_PER_TURN: u32 = 2 * 1024 * 1024;

/// Frames (requests, messages) that one channel may handle in one turn. Small ones arrive by the hundred in one read,
/// and each may cost far more than its bytes (hyper's figure for pipelined requests).
pub const FRAMES_PER_TURN: u32 = 16;

/// Channels on the again list that get their next share in one turn. A hundred clients that flood the server
/// would make each turn a hundred shares long otherwise, and a newcomer, sixteen of whom are accepted in a
/// turn, would wait for them all.
const AGAIN_PER_TURN: usize = 16;

/// A deadline that stands although it has been told to its channel comes again no earlier than this, or the
/// turn would never end.
const TIMEOUT_PAUSE: Duration = Duration::from_millis(1);

/// The loop.
pub struct Reactor<P: Probe = NoProbe> {
    poll: Poll,
    events: Events,
    slots: Slab<Slot>,
    timers: Timers,
    /// Those that stopped because their budget was spent, in the order of their turns.
    again: VecDeque<Key>,
    waker: Waker,
    core: Core,
    panics: u64,
    probe: P,
}

impl<P: Probe> std::fmt::Debug for Reactor<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").field("channels", &self.slots.len()).finish_non_exhaustive()
    }
}

impl Reactor {
    /// An empty reactor. Make it in the process that runs it: after a fork, parent and child would share
    /// one epoll instance and take each other's events.
    ///
    /// # Errors
    /// As epoll_create1(2) and eventfd(2).
    pub fn new() -> io::Result<Self> {
        Self::with_probe(NoProbe)
    }
}

impl<P: Probe> Reactor<P> {
    /// An empty reactor that tells `probe` what it does.
    ///
    /// # Errors
    /// As [`Reactor::new`].
    pub fn with_probe(probe: P) -> io::Result<Self> {
        let poll = Poll::new()?;
        Ok(Self {
            waker: Waker::new(poll.registry())?,
            poll,
            events: Events::with_capacity(EVENTS),
            slots: Slab::new(),
            timers: Timers::default(),
            again: VecDeque::new(),
            core: Core::new(),
            panics: 0,
            probe,
        })
    }

    /// Takes a channel in, dispatches it, and registers it if it is still open then.
    pub fn add(&mut self, channel: impl Dispatcher + 'static) {
        self.core.now = Now::ask();
        self.core.adopted.push(Box::new(channel));
        self.take_adopted();
    }

    /// How many channels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// What wakes this reactor from another thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The probe.
    pub fn probe(&mut self) -> &mut P {
        &mut self.probe
    }

    /// Gives memory back that was needed for more channels than there are now.
    pub fn shrink(&mut self) {
        self.slots.shrink();
        self.timers.shrink(|key| self.slots.contains(key));
        self.again.shrink_to_fit();
    }

    /// How many channels and calls a panic has cost so far.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics
    }

    /// The time of the current turn.
    #[must_use]
    pub fn now(&self) -> Now {
        self.core.now
    }

    /// Turns until no channel is left, or until a hook calls [`Context::stop`]. (`asyncore.loop`)
    ///
    /// # Errors
    /// As [`Reactor::turn`].
    pub fn run(&mut self) -> io::Result<()> {
        while !self.is_empty() && !self.core.stopped {
            self.turn(None)?;
        }
        Ok(())
    }

    /// Calls `handle_shutdown` of every channel: finish what you are at, and close.
    pub fn shutdown(&mut self) {
        self.core.now = Now::ask();
        let keys: Vec<Key> = self.slots.keys().collect();
        for key in keys {
            self.dispatch(key, Cause::Shutdown);
        }
        self.take_adopted();
    }

    /// Closes every channel now, and forgets the calls that wait. (`asyncore.close_all`)
    pub fn close_all(&mut self) {
        self.core.now = Now::ask();
        self.core.calls.clear();
        let keys: Vec<Key> = self.slots.keys().collect();
        for key in keys {
            self.close(key, false);
        }
    }

    /// Waits for something to happen, at most `timeout`, and calls the hooks for it. (`asyncore.poll`)
    ///
    /// # Errors
    /// As epoll_wait(2); an interrupted wait is no error.
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = self.poll_timeout(timeout);
        self.probe.poll_enter(timeout);
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            result => result?,
        }
        self.core.now = Now::ask();
        self.core.turn = self.core.turn.wrapping_add(1);
        self.probe.poll_exit(self.events.iter().count());

        // Of those left over, only ones of earlier turns: what they leave over waits for the next.
        let again: Vec<Key> = self.again.drain(..self.again.len().min(AGAIN_PER_TURN)).collect();
        self.handle_events();
        // Newcomers when the events are through, so that what they have to say has the longest time to come; but
        // before those who have had a share already.
        self.take_adopted();
        for key in again {
            if let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.again) {
                slot.again = false;
                self.dispatch(key, Cause::Ready);
            }
        }
        self.handle_timers();
        self.panics += self.core.run_calls();
        self.take_adopted();
        self.timers.tidy(self.slots.len(), |key| self.slots.contains(key));
        Ok(())
    }

    fn poll_timeout(&self, timeout: Option<Duration>) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = [self.timers.next(), self.core.calls.next()].into_iter().flatten().min();
        let until_timer = next.map(|at| at.saturating_duration_since(Instant::now()));
        match (timeout, until_timer) {
            (Some(timeout), Some(until_timer)) => Some(timeout.min(until_timer)),
            (timeout, until_timer) => timeout.or(until_timer),
        }
    }

    fn handle_events(&mut self) {
        // Taken out for the time of the loop: the hooks need the rest of the reactor.
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            if event.token() == waker::TOKEN {
                for key in self.waker.take() {
                    self.dispatch(key, Cause::Wake);
                }
                continue;
            }
            let key = Key::from_bits(event.token().0);
            let Some(slot) = self.slots.get_mut(key) else {
                debug!("an event for {key}, which is closed");
                continue;
            };
            slot.ready.note(event);
            if P::ACTIVE {
                self.probe.event(key, slot.ready);
            }
            // Whoever stands on the again list has its turn coming, and no second one beside it.
            if !slot.again {
                self.dispatch(key, Cause::Ready);
            }
        }
        self.events = events;
    }

    fn handle_timers(&mut self) {
        while let Some((key, at)) = self.timers.pop_due(self.core.now.monotonic) {
            let Some(slot) = self.slots.get_mut(key) else {
                continue;
            };
            if !slot.armed.fired(at) {
                continue;
            }
            match slot.channel.deadline() {
                Some(deadline) if deadline <= self.core.now.monotonic => self.dispatch(key, Cause::Timeout),
                // It has moved since: look again then.
                Some(deadline) => self.timers.arm(key, deadline, &mut slot.armed),
                None => {}
            }
        }
    }

    /// Takes in what hooks have handed over. Each is dispatched, and may hand over more.
    fn take_adopted(&mut self) {
        while !self.core.adopted.is_empty() {
            for channel in std::mem::take(&mut self.core.adopted) {
                let key = self.slots.insert(Slot {
                    channel,
                    ready: Readiness::ALL,
                    budget: Budget::default(),
                    registered: Registered::Nothing,
                    again: false,
                    armed: Armed::default(),
                });
                self.probe.accept(key);
                self.dispatch(key, Cause::Ready);
            }
        }
    }

    /// Calls the hooks that one channel is ready for, then closes it, or sees to its registration, its
    /// deadline, and its place on the again list.
    fn dispatch(&mut self, key: Key, cause: Cause) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        // The channel's own code runs in here, all of it: what panics takes its channel with it, no more.
        let (core, probe, registry) = (&mut self.core, &mut self.probe, self.poll.registry());
        let call = AssertUnwindSafe(|| call_channel(slot, core, probe, registry, key, cause));
        match catch_unwind(call) {
            Err(_) => {
                self.panics += 1;
                error!("a panic in the handling of {key}: the channel is dropped ({} so far)", self.panics);
                self.close(key, true);
            }
            Ok(None) => self.close(key, false),
            Ok(Some(Wishes { deadline, another_turn })) => {
                if let Some(deadline) = deadline {
                    let earliest = self.core.now.monotonic + TIMEOUT_PAUSE;
                    let at = if cause == Cause::Timeout { deadline.max(earliest) } else { deadline };
                    self.timers.arm(key, at, &mut slot.armed);
                }
                if another_turn && !slot.again {
                    slot.again = true;
                    // A listener comes first: newcomers do not queue behind those who have much to ask.
                    if slot.channel.is_shared() {
                        self.again.push_front(key);
                    } else {
                        self.again.push_back(key);
                    }
                }
            }
        }
    }

    fn close(&mut self, key: Key, panicked: bool) {
        let Some(mut slot) = self.slots.remove(key) else {
            return;
        };
        let (now, probe, registry) = (self.core.now, &mut self.probe, self.poll.registry());
        let call = AssertUnwindSafe(move || {
            if P::ACTIVE {
                probe.close(key, slot.channel.unsent());
            }
            // The kernel forgets a descriptor that is closed, unless another process holds the same socket
            // open; then its events would go on for ever.
            if slot.registered > Registered::Nothing && slot.channel.is_shared() {
                let _ = registry.deregister(slot.channel.socket());
            }
            if !panicked {
                slot.channel.handle_close(now);
            }
        });
        if catch_unwind(call).is_err() {
            error!("a panic at the close of {key}");
        }
    }
}
