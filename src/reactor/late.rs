//! The end of a turn by time: what is not dispatched by then comes first in the next turn.

use std::collections::VecDeque;
use std::time::Duration;

use super::dispatch::Cause;
use crate::clock::Instant;
use crate::slab::Key;

/// How long the dispatches of one turn may take together. A turn has a bound by number as well, but a thousand dispatches
/// of 10 ms would be 10 s without a new connection, a timer or a sign of life. Half of what the worker reports as a long
/// turn: a turn that is cut off here has delayed no client noticeably.
const TURN: Duration = Duration::from_millis(50);

/// After how many dispatches the clock is read. Most turns have fewer, and do not read it.
const DISPATCHES_PER_LOOK: u32 = 4;

/// The time that is left in a turn, and the channels that it was too short for, in the order of their turns.
#[derive(Debug)]
pub(super) struct Late {
    /// How many dispatches there are until the clock is read.
    until_look: u32,
    is_over: bool,
    channels: VecDeque<(Key, Cause)>,
}

impl Late {
    pub(super) fn new() -> Self {
        Self { until_look: u32::MAX, is_over: false, channels: VecDeque::new() }
    }

    /// Begins a turn that ends by time.
    pub(super) fn begin_turn(&mut self) {
        (self.until_look, self.is_over) = (DISPATCHES_PER_LOOK, false);
    }

    /// Begins a turn without such an end, for the loops of [`crate::asyncore`], which dispatch no channel late.
    pub(super) fn begin_endless_turn(&mut self) {
        (self.until_look, self.is_over) = (u32::MAX, false);
    }

    /// Counts a dispatch in the turn that began at `began`; returns whether its time is over.
    pub(super) fn is_over(&mut self, began: Instant) -> bool {
        self.until_look -= 1;
        if self.until_look == 0 {
            self.until_look = DISPATCHES_PER_LOOK;
            self.is_over |= Instant::now().saturating_duration_since(began) >= TURN;
        }
        self.is_over
    }

    /// Keeps a channel for the next turn.
    pub(super) fn push(&mut self, key: Key, cause: Cause) {
        self.channels.push_back((key, cause));
    }

    /// Takes the channel that has waited longest, to be dispatched, if there is time for it.
    pub(super) fn pop(&mut self, began: Instant) -> Option<(Key, Cause)> {
        if self.is_over(began) { None } else { self.channels.pop_front() }
    }

    pub(super) fn len(&self) -> usize {
        self.channels.len()
    }

    pub(super) fn shrink(&mut self) {
        self.channels.shrink_to_fit();
    }
}
