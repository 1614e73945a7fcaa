//! The loop that asyncore was: every channel is asked in every turn, and the kernel about every one of them.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use log::error;

use super::TIMEOUT_PAUSE;
use super::dispatcher::{Context, Dispatcher};
use super::lent::Core;
use super::probe::{NoProbe, Readiness};
use super::slot::{Budget, Cause, Registered, Slot, call_channel};
use crate::clock::{Instant, Now};
use crate::slab::{Key, Slab};
use crate::sys::poll::{Asked, Found};
use crate::timers::Armed;

/// A way to ask the kernel: `sys::poll::select` or `sys::poll::poll`.
pub(super) type Ask = fn(&[Asked<'_>], Option<Duration>) -> io::Result<Vec<Found>>;

/// The loop.
///
/// It is level-triggered: what a hook has left unread is told again, so there is no *again* list and nothing
/// is registered. And every turn is O(n): it asks each channel for its wishes and its deadline, and the
/// kernel about each descriptor. There are no timers, for who asks everyone finds the next deadline on the
/// way. A panic in a hook costs its channel; a panic in an answer to these questions ends the loop.
pub(super) struct Asking {
    slots: Slab<Slot>,
    pub(super) core: Core,
    ask: Ask,
    /// Those who have been told of urgent data and have had nothing to read since: the kernel would say it
    /// again in every turn.
    told: BTreeSet<Key>,
    /// Nobody waits for it: it is here for those who ask their [`Context`] for a registry.
    poll: mio::Poll,
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking").field("channels", &self.slots.len()).finish_non_exhaustive()
    }
}

impl Asking {
    pub(super) fn new(ask: Ask) -> io::Result<Self> {
        Ok(Self {
            slots: Slab::new(),
            core: Core::new(),
            ask,
            told: BTreeSet::new(),
            poll: mio::Poll::new()?,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn add(&mut self, channel: Box<dyn Dispatcher>) -> io::Result<()> {
        self.core.now = Now::ask();
        self.admit(&*channel)?;
        self.core.adopted.push(channel);
        self.take_adopted();
        Ok(())
    }

    /// Asks once, waits at most `timeout`, and calls the hooks of those that are ready.
    pub(super) fn turn(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let found = self.ask_everyone(timeout)?;
        self.core.now = Now::ask();
        self.core.turn = self.core.turn.wrapping_add(1);
        for (key, asked_to_write, found) in found {
            if found.exceptional {
                self.told.insert(key);
                self.handle_expt(key);
            }
            if found.readable {
                self.told.remove(&key);
            }
            if found.readable || found.writable {
                // Who was not asked about may try: the kernel will say when it has no room.
                let writable = found.writable || !asked_to_write;
                let ready = Readiness { readable: found.readable, writable, read_closed: false };
                self.dispatch(key, ready, Cause::Ready);
                self.take_adopted();
            }
        }
        self.handle_deadlines();
        self.core.run_calls();
        self.take_adopted();
        Ok(())
    }

    /// One question about each channel that wants something; with each answer, whether it was asked to write.
    fn ask_everyone(&self, timeout: Option<Duration>) -> io::Result<Vec<(Key, bool, Found)>> {
        let now = Instant::now();
        let until = |at: Instant| if at < now { TIMEOUT_PAUSE } else { at - now };
        let mut wait = [timeout, self.core.calls.next().map(until)].into_iter().flatten().min();
        let (mut asked, mut keys) = (Vec::new(), Vec::new());
        for (key, slot) in self.slots.iter() {
            wait = [wait, slot.channel.deadline().map(until)].into_iter().flatten().min();
            let (read, write) = (slot.channel.readable(), slot.channel.writable());
            if let Some(file) = slot.channel.fileno().filter(|_| read || write) {
                asked.push(Asked { file, read, urgent: read && !self.told.contains(&key), write });
                keys.push((key, write));
            }
        }
        let found = (self.ask)(&asked, wait)?;
        Ok(keys.into_iter().zip(found).map(|((key, write), found)| (key, write, found)).collect())
    }

    fn handle_deadlines(&mut self) {
        let now = self.core.now.monotonic;
        let is_due = |(_, slot): &(Key, &Slot)| slot.channel.deadline().is_some_and(|at| at <= now);
        let due: Vec<Key> = self.slots.iter().filter(is_due).map(|(key, _)| key).collect();
        for key in due {
            let ready = Readiness { readable: false, ..Readiness::ALL };
            self.dispatch(key, ready, Cause::Timeout);
        }
    }

    /// A channel has to tell its descriptor, and select(2) has to take it.
    fn admit(&self, channel: &dyn Dispatcher) -> io::Result<()> {
        let Some(file) = channel.fileno() else {
            let message = "this channel does not tell its descriptor: give it Dispatcher::fileno";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        };
        // Asked about nothing and without waiting, it says whether it would do.
        (self.ask)(&[Asked { file, read: false, urgent: false, write: false }], Some(Duration::ZERO))
            .map(drop)
    }

    /// Takes in what hooks have handed over. Each is dispatched, and may hand over more.
    fn take_adopted(&mut self) {
        while !self.core.adopted.is_empty() {
            for mut channel in std::mem::take(&mut self.core.adopted) {
                if let Err(error) = self.admit(&*channel) {
                    error!("a channel is not taken in: {error}");
                    channel.handle_close(self.core.now);
                    continue;
                }
                let key = self.slots.insert(Slot {
                    channel,
                    ready: Readiness::ALL,
                    budget: Budget::default(),
                    // Here nobody has to be.
                    registered: Registered::Both,
                    again: false,
                    armed: Armed::default(),
                });
                self.dispatch(key, Readiness::ALL, Cause::Ready);
            }
        }
    }

    fn dispatch(&mut self, key: Key, ready: Readiness, cause: Cause) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.ready = ready;
        let (core, registry) = (&mut self.core, self.poll.registry());
        let call = AssertUnwindSafe(|| call_channel(slot, core, &mut NoProbe, registry, key, cause));
        match catch_unwind(call) {
            Ok(Some(_)) => {}
            Ok(None) => self.close(key, false),
            Err(_) => self.close(key, true),
        }
    }

    fn handle_expt(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let (core, registry) = (&mut self.core, self.poll.registry());
        let call = AssertUnwindSafe(|| {
            let mut context = Context::new(core, registry, key, &mut slot.ready, &mut slot.budget);
            if let Err(error) = slot.channel.handle_expt(&mut context) {
                slot.channel.handle_error(&mut context, &error);
            }
            context.is_closed()
        });
        match catch_unwind(call) {
            Ok(false) => {}
            Ok(true) => self.close(key, false),
            Err(_) => self.close(key, true),
        }
    }

    pub(super) fn close_all(&mut self) {
        self.core.now = Now::ask();
        self.core.calls.clear();
        let keys: Vec<Key> = self.slots.keys().collect();
        for key in keys {
            self.close(key, false);
        }
    }

    fn close(&mut self, key: Key, panicked: bool) {
        let Some(mut slot) = self.slots.remove(key) else {
            return;
        };
        self.told.remove(&key);
        let now = self.core.now;
        let call = AssertUnwindSafe(move || {
            if !panicked {
                slot.channel.handle_close(now);
            }
        });
        if catch_unwind(call).is_err() || panicked {
            error!("a panic in the handling of {key}: the channel is dropped");
        }
    }
}
