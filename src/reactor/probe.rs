//! Tells an observer what the loop waits for, what it calls and what changes.
//!
//! The reactor is generic over its probe, so that the empty one costs nothing.

use std::time::Duration;

use super::dispatcher::{Dispatcher, Moved};
use super::readiness::Readiness;
use crate::clock::Instant;
use crate::recording::{Ending, Registration, Why};
use crate::slab::Key;

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
    /// `handle_expt`
    Expt,
}

/// An observer of a [`super::Reactor`].
#[allow(unused_variables, reason = "the names are the documentation")]
pub trait Probe {
    /// Whether the reactor computes what only a probe needs.
    const ACTIVE: bool = true;

    /// Called before the loop waits, at most `timeout`. `asked`: how many descriptors the loop asks the kernel about in this
    /// turn; 0 where the kernel keeps the list.
    fn poll_enter(&mut self, asked: usize, timeout: Option<Duration>) {}
    /// Called after the wait, which was over at the time `now` and returned this number of `events`.
    fn poll_exit(&mut self, events: usize, now: Instant) {}
    /// Called for each event of a channel, with what it has `reported` ([`crate::recording::ready`] bits), and with what the
    /// channel is `ready` for now.
    fn event(&mut self, key: Key, reported: u8, ready: Readiness) {}
    /// Called for each event of a channel, after [`Probe::event`], with the channel itself.
    fn reported(&mut self, key: Key, channel: &dyn Dispatcher) {}
    /// Called before the hooks of a channel, with the cause.
    fn dispatch(&mut self, key: Key, why: Why) {}
    /// Called before a hook. A scheduled call is shown as [`Hook::Timeout`] of a key of its own.
    fn hook_enter(&mut self, key: Key, hook: Hook) {}
    /// Called after a hook, with what it has read and written through its context.
    fn moved(&mut self, key: Key, moved: Moved) {}
    /// Called after a hook that has closed the sending half of its channel, of which `unsent` bytes are left.
    fn shutdown(&mut self, key: Key, unsent: u64) {}
    /// Called after a hook that has not panicked.
    fn hook_exit(&mut self, key: Key, hook: Hook, ending: Ending) {}
    /// Called after a hook, or another method of the channel, has panicked.
    fn panic(&mut self, key: Key) {}
    /// Called when the name of a channel's state has changed in a hook.
    fn state_change(&mut self, key: Key, from: &'static str, to: &'static str) {}
    /// Called when the kernel watches a channel for something else.
    fn watch(&mut self, key: Key, watch: Registration, read: bool, write: bool) {}
    /// Called when the program adds a channel itself, and no hook does.
    fn outside(&mut self) {}
    /// Called for a new channel. A scheduled call is not told.
    fn add(&mut self, key: Key, channel: &dyn Dispatcher) {}
    /// Called when a channel closes; `unsent` bytes are lost with it.
    fn close(&mut self, key: Key, unsent: u64, panicked: bool) {}
    /// Called when somebody asks for what was observed so far.
    fn save(&mut self) {}
    /// Called when the loop ends.
    fn finish(&mut self) {}
    /// Whether long turns are reported by the probe itself.
    fn reports_long_turns(&self) -> bool {
        false
    }
}

/// The probe that observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    const ACTIVE: bool = false;
}
