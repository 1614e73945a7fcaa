//! Tells an observer what the loop waits for, what it calls and what changes.
//!
//! The reactor is generic over its probe, so that the empty one costs nothing.

use std::time::Duration;

use super::readiness::Readiness;
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

    /// Called before the loop waits, at most `timeout`.
    fn poll_enter(&mut self, timeout: Option<Duration>) {}
    /// Called after the wait, which returned this number of `events`.
    fn poll_exit(&mut self, events: usize) {}
    /// Called after an event for a channel, with what the channel is `ready` for now.
    fn event(&mut self, key: Key, ready: Readiness) {}
    /// Called before a hook. A scheduled call is shown as [`Hook::Timeout`] of a key of its own.
    fn hook_enter(&mut self, key: Key, hook: Hook) {}
    /// Called after a hook.
    fn hook_exit(&mut self, key: Key, hook: Hook) {}
    /// Called when the name of a channel's state has changed.
    fn state_change(&mut self, key: Key, from: &'static str, to: &'static str) {}
    /// Called for a new channel.
    fn accept(&mut self, key: Key) {}
    /// Called when a channel closes; `unsent` bytes are lost with it.
    fn close(&mut self, key: Key, unsent: u64) {}
}

/// The probe that observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    const ACTIVE: bool = false;
}
