//! The turn of asyncore's loop: every channel is asked what it wants, and the kernel is asked about every channel.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use log::error;

use super::poll::{PollRequest, PollResult};
use crate::reactor::{Cause, Dispatcher, Probe, Reactor, Readiness};
use crate::recording::Why;
use crate::slab::Key;

/// A way to ask the kernel: [`super::poll::select`] or [`super::poll::poll`].
pub(super) type Ask = fn(&[PollRequest<'_>], Option<Duration>) -> io::Result<Vec<PollResult>>;

/// A level-triggered turn over the channels of a [`Reactor`].
///
/// The kernel reports again what a hook has left unread, so there is no *again* list, and no channel is registered. Every
/// turn is O(n): it asks each channel what it wants, and the kernel about each descriptor. A panic in a hook costs its
/// channel; a panic in `readable`, `writable` or `fileno` ends the loop.
#[derive(Debug)]
pub(super) struct LevelLoop {
    ask: Ask,
    /// Channels that were told of urgent data and have had nothing to read since: the kernel would report it again in
    /// every turn.
    told: BTreeSet<Key>,
}

impl LevelLoop {
    pub(super) fn new(ask: Ask) -> Self {
        Self { ask, told: BTreeSet::new() }
    }

    /// Adds a channel, or returns why it cannot be added.
    pub(super) fn add<P: Probe>(
        &self,
        reactor: &mut Reactor<P>,
        channel: impl Dispatcher + 'static,
    ) -> io::Result<()> {
        self.admit(&channel)?;
        reactor.begin_turn();
        reactor.add_unregistered(Box::new(channel));
        self.take_new(reactor);
        Ok(())
    }

    /// Asks once, waits at most `timeout`, and calls the hooks of the channels that are ready.
    pub(super) fn turn<P: Probe>(
        &mut self,
        reactor: &mut Reactor<P>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        if P::ACTIVE {
            let wants = |channel: &dyn Dispatcher| channel.readable() || channel.writable();
            let asked = reactor.channels().filter(|(_, channel)| wants(*channel)).count();
            let timeout = reactor.poll_timeout(timeout);
            reactor.probe().poll_enter(asked, timeout);
        }
        let results = self.ask_everyone(reactor, timeout)?;
        reactor.begin_turn();
        if P::ACTIVE {
            let now = reactor.now().monotonic;
            let ready = results.iter().filter(|(.., result)| *result != PollResult::default()).count();
            reactor.probe().poll_exit(ready, now);
        }
        for (key, asked_to_write, result) in results {
            if result.exceptional {
                self.told.insert(key);
                let ready = Readiness { readable: false, ..Readiness::ALL };
                reactor.dispatch_ready(key, ready, Cause::Urgent, Why::Asked);
            }
            if result.readable {
                self.told.remove(&key);
            }
            if result.readable || result.writable {
                // A channel that did not ask for room may try to write: the kernel says when there is none.
                let writable = result.writable || !asked_to_write;
                let ready =
                    Readiness { readable: result.readable, writable, read_closed: false, ..Readiness::ALL };
                reactor.dispatch_ready(key, ready, Cause::Ready, Why::Asked);
                self.take_new(reactor);
            }
        }
        reactor.handle_timers();
        self.take_new(reactor);
        Ok(())
    }

    /// One question about each channel that wants something. With each result: whether it was asked to write.
    fn ask_everyone<P: Probe>(
        &mut self,
        reactor: &Reactor<P>,
        timeout: Option<Duration>,
    ) -> io::Result<Vec<(Key, bool, PollResult)>> {
        let (mut requests, mut keys, mut told) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (key, channel) in reactor.channels() {
            let (read, write) = (channel.readable(), channel.writable());
            let was_told = self.told.contains(&key);
            if was_told {
                told.insert(key);
            }
            if let Some(file) = channel.fileno().filter(|_| read || write) {
                requests.push(PollRequest { file, read, urgent: read && !was_told, write });
                keys.push((key, write));
            }
        }
        // Channels that are closed are not kept.
        self.told = told;
        let results = (self.ask)(&requests, reactor.poll_timeout(timeout))?;
        Ok(keys.into_iter().zip(results).map(|((key, write), result)| (key, write, result)).collect())
    }

    /// Checks that a channel has a descriptor, and that select(2) takes it.
    fn admit(&self, channel: &dyn Dispatcher) -> io::Result<()> {
        let Some(file) = channel.fileno() else {
            let message = "this channel does not tell its descriptor: give it Dispatcher::fileno";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        };
        // A question about nothing, without waiting, is refused if the descriptor is.
        let request = PollRequest { file, read: false, urgent: false, write: false };
        (self.ask)(&[request], Some(Duration::ZERO)).map(drop)
    }

    /// Adds the channels that hooks have handed over, and those that they hand over in turn.
    fn take_new<P: Probe>(&self, reactor: &mut Reactor<P>) {
        loop {
            let new = reactor.take_new();
            if new.is_empty() {
                break;
            }
            for mut channel in new {
                match self.admit(&*channel) {
                    Ok(()) => reactor.add_unregistered(channel),
                    Err(error) => {
                        error!("a channel is not added: {error}");
                        channel.handle_close(reactor.now());
                    }
                }
            }
        }
    }
}
