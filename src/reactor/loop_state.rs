//! The part of a loop that hooks reach: its channels, its timers, the time of the turn.

use crate::clock::{Instant, Now};
use crate::slab::{Key, Slab};
use crate::timers::{Armed, Timers};

use super::readiness::Readiness;

/// Size of the buffer that all channels of a loop read into. What arrives in one round trip fits.
/// (`async_chat.ac_in_buffer_size`)
const SCRATCH: usize = 64 * 1024;

/// Bytes that one channel may read in one turn: enough to keep a fast network busy, and few enough that a flood does
/// not hold up the other channels (lighttpd's figure).
pub const READ_PER_TURN: u32 = 256 * 1024;

/// Bytes that one channel may write in one turn. With four times as many, a file of 10 MiB costs 1.5 times as much for one
/// client and 1.3 times for eight, because the peer reads late what has left the caches by then; with half as many there are
/// more calls, and the cost is the same.
pub const WRITE_PER_TURN: u32 = 512 * 1024;

/// Frames (requests, messages) that one channel may handle in one turn. Small ones arrive by the hundred in one read,
/// and each may cost far more than its bytes (hyper's figure for pipelined requests).
pub const FRAMES_PER_TURN: u32 = 16;

/// The state of a loop, as its hooks see it through a [`super::Context`].
///
/// `D` is always `dyn Dispatcher`. It is a parameter so that this file does not import the trait, whose hooks take this
/// state.
#[derive(Debug)]
pub struct LoopState<D: ?Sized> {
    pub(super) now: Now,
    /// The number of the turn, from 1; it may wrap.
    pub(super) turn: u32,
    pub(super) scratch: Box<[u8]>,
    pub(super) stopped: bool,
    /// Channels, scheduled calls among them. An entry is `None` while the hooks of its channel run: they reach all
    /// other entries.
    pub(super) channels: Slab<Option<Channel<D>>>,
    pub(super) timers: Timers,
    /// New channels that hooks have handed over, and that the loop has not dispatched yet.
    pub(super) adopted: Vec<Box<D>>,
    /// How many of `channels` are scheduled calls.
    pub(super) calls: usize,
}

impl<D: ?Sized> LoopState<D> {
    pub(super) fn new() -> Self {
        Self {
            now: Now::ask(),
            turn: 1,
            scratch: vec![0; SCRATCH].into(),
            stopped: false,
            channels: Slab::new(),
            timers: Timers::default(),
            adopted: Vec::new(),
            calls: 0,
        }
    }

    /// Inserts a scheduled call, whose deadline is `at`.
    pub(super) fn insert_call(&mut self, at: Instant, call: Box<D>) -> Key {
        let channel = Channel { is_call: true, ..Channel::unregistered(call) };
        let key = self.channels.insert(Some(channel));
        self.calls += 1;
        if let Some(Some(channel)) = self.channels.get_mut(key) {
            self.timers.arm(key, at, &mut channel.armed);
        }
        key
    }

    /// Removes a scheduled call, and its timer with it if many timers are stale. Returns whether it was there.
    pub(super) fn remove_call(&mut self, key: Key) -> bool {
        let was_there = self.channels.remove(key).is_some();
        self.calls -= usize::from(was_there);
        self.tidy_timers();
        was_there
    }

    /// Removes the timers of channels that are closed, once they may be more than half of all timers.
    pub(super) fn tidy_timers(&mut self) {
        self.timers.tidy(self.channels.len(), |key| self.channels.contains(key));
    }

    /// Returns the channel of `key`, unless it is closed or its hooks are running.
    pub(super) fn channel(&mut self, key: Key) -> Option<&mut Channel<D>> {
        self.channels.get_mut(key)?.as_mut()
    }

    /// As [`LoopState::channel`]; takes the channel out of its entry.
    pub(super) fn take(&mut self, key: Key) -> Option<Channel<D>> {
        self.channels.get_mut(key)?.take()
    }
}

/// One channel and what the loop knows of it.
#[derive(Debug)]
pub(super) struct Channel<D: ?Sized> {
    pub(super) dispatcher: Box<D>,
    pub(super) ready: Readiness,
    pub(super) budget: Budget,
    pub(super) registered: Registered,
    /// Whether it is on the again list.
    pub(super) again: bool,
    pub(super) is_call: bool,
    pub(super) armed: Armed,
}

impl<D: ?Sized> Channel<D> {
    pub(super) fn new(dispatcher: Box<D>) -> Self {
        Self {
            dispatcher,
            ready: Readiness::ALL,
            budget: Budget::default(),
            registered: Registered::Nothing,
            again: false,
            is_call: false,
            armed: Armed::default(),
        }
    }

    /// A channel that the loop never registers and never puts on the again list.
    pub(super) fn unregistered(dispatcher: Box<D>) -> Self {
        Self { registered: Registered::Both, again: true, ..Self::new(dispatcher) }
    }
}

/// What the kernel watches of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Registered {
    Nothing,
    /// Input only: most output fits into the socket buffer, and a socket that is watched for room is reported at once,
    /// because it has room.
    Input,
    /// From the first write that did not fit until the channel closes.
    Both,
}

/// What a channel may still move in one turn, however often it is dispatched in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    turn: u32,
    read: u32,
    write: u32,
    frames: u32,
}

impl Budget {
    /// Refills the budget in a new turn. Turns are compared by their lowest 32 bits: a channel that is dispatched again
    /// after exactly 2³² turns keeps what was left.
    pub(super) fn renew(&mut self, turn: u32) {
        if self.turn != turn {
            *self = Self { turn, read: READ_PER_TURN, write: WRITE_PER_TURN, frames: FRAMES_PER_TURN };
        }
    }

    /// Leaves room for one read at least.
    pub(super) fn allow_read(&mut self) {
        self.read = self.read.max(1);
    }

    pub(super) fn to_read(self) -> usize {
        self.read as usize
    }

    pub(super) fn to_write(self) -> usize {
        self.write as usize
    }

    pub(super) fn frames(self) -> u32 {
        self.frames
    }

    pub(super) fn set_frames(&mut self, frames: u32) {
        self.frames = frames;
    }

    pub(super) fn note_read(&mut self, count: usize) {
        self.read = self.read.saturating_sub(word(count));
    }

    pub(super) fn note_written(&mut self, count: usize) {
        self.write = self.write.saturating_sub(word(count));
    }
}

/// A number of bytes that one call has moved, which is at most the scratch or a budget.
#[allow(clippy::cast_possible_truncation, reason = "both are far below")]
pub(super) fn word(count: usize) -> u32 {
    count as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle connection has one entry of this.
    #[test]
    fn a_channel_is_small() {
        assert_eq!(size_of::<Option<Channel<dyn std::fmt::Debug>>>(), 48);
    }

    #[test]
    fn a_new_turn_refills_the_budget() {
        let mut budget = Budget::default();
        assert_eq!(budget.frames(), 0);
        for turn in 1..3 {
            budget.renew(turn);
            budget.note_read(READ_PER_TURN as usize - 1);
            budget.note_written(u32::MAX as usize);
            assert_eq!(budget.frames(), FRAMES_PER_TURN);
            budget.set_frames(0);
            budget.renew(turn);
            assert_eq!((budget.to_read(), budget.to_write(), budget.frames()), (1, 0, 0));
        }
    }
}
