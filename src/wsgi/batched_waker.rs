//! Wakes the loop for output of the application, with as few wake-ups as possible.
//!
//! A wake-up costs a system call, and on a busy core two thread switches. A loop that was busy in its last turn looks
//! again by itself, within [`RECHECK`]; meanwhile threads only note which connections have output. A thread wakes the
//! loop when the loop sleeps, when there are [`MANY`] notes, and when the thread itself has nothing else to do.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::shared::lock;
use crate::reactor::Waker;
use crate::slab::Key;

/// The longest time that a note waits.
pub(super) const RECHECK: Duration = Duration::from_millis(1);

/// Notes that are worth a wake-up.
const MANY: usize = 32;

/// The waker that the threads of a pool share.
#[derive(Debug)]
pub(super) struct BatchedWaker {
    waker: Waker,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    connections: Vec<Key>,
    /// Whether the loop looks again by itself.
    rechecks: bool,
}

impl BatchedWaker {
    pub(super) fn new(waker: Waker) -> Self {
        Self { waker, notes: Mutex::default() }
    }

    /// Notes that `connection` has output.
    pub(super) fn note(&self, connection: Key) {
        let mut notes = lock(&self.notes);
        notes.connections.push(connection);
        if !notes.rechecks || notes.connections.len() >= MANY {
            self.wake(notes);
        }
    }

    /// Wakes the loop if there are notes: this thread is about to wait.
    pub(super) fn flush(&self) {
        let notes = lock(&self.notes);
        if !notes.connections.is_empty() {
            self.wake(notes);
        }
    }

    fn wake(&self, mut notes: MutexGuard<'_, Notes>) {
        // It fails only after the loop has ended.
        let _ = self.waker.wake_all(&mut notes.connections);
    }

    /// On the loop, before it waits; `rechecks`: the wait will be no longer than [`RECHECK`]. Returns whether there are
    /// notes already: then the loop is awake.
    pub(super) fn before_waiting(&self, rechecks: bool) -> bool {
        let mut notes = lock(&self.notes);
        let has_notes = !notes.connections.is_empty();
        notes.rechecks = rechecks || has_notes;
        if has_notes {
            self.wake(notes);
        }
        has_notes
    }
}
