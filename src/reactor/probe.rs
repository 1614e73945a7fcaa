//! A window on the loop: what it waits for, what it calls, what changes.
//!
//! The reactor is generic over its probe, so the one that does nothing costs nothing.

use std::time::Duration;

use mio::event::Event;

use crate::slab::Key;

/// What a channel can do without being told to wait, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Reading may give something.
    pub readable: bool,
    /// Writing may take something.
    pub writable: bool,
    /// The peer has closed its half: behind what can be read stands the end, and no event will tell of it.
    pub read_closed: bool,
}

impl Readiness {
    /// Of a new channel: the first call will tell.
    pub(super) const ALL: Self = Self { readable: true, writable: true, read_closed: false };

    pub(super) fn note(&mut self, event: &Event) {
        // An error shows itself to whoever reads or writes next.
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
        self.read_closed |= event.is_read_closed();
    }
}

/// A hook of [`super::Dispatcher`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `handle_read`
    Read,
    /// `handle_write`
    Write,
    /// `handle_timeout`
    Timeout,
    /// `handle_wake`
    Wake,
    /// `handle_shutdown`
    Shutdown,
}

/// Told of everything that the reactor does.
#[allow(unused_variables, reason = "the names are the documentation")]
pub trait Probe {
    /// Whether anyone listens. `false` saves the questions that are asked for the probe alone.
    const ACTIVE: bool = true;

    /// The loop is about to wait, at most so long.
    fn poll_enter(&mut self, timeout: Option<Duration>) {}
    /// The wait is over and has brought so many events.
    fn poll_exit(&mut self, events: usize) {}
    /// An event has come for a channel, which is ready for this now.
    fn event(&mut self, key: Key, ready: Readiness) {}
    /// A hook is about to be called.
    fn hook_enter(&mut self, key: Key, hook: Hook) {}
    /// A hook has returned.
    fn hook_exit(&mut self, key: Key, hook: Hook) {}
    /// A channel calls its state by another name now.
    fn state_change(&mut self, key: Key, from: &'static str, to: &'static str) {}
    /// A channel was taken in.
    fn accept(&mut self, key: Key) {}
    /// A channel was closed, and so many bytes with it that had not left.
    fn close(&mut self, key: Key, unsent: u64) {}
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    const ACTIVE: bool = false;
}
