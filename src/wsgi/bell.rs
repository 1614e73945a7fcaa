//! Telling the loop that there is something in an outbox, as seldom as can be.
//!
//! To wake the loop costs a system call, and on a busy core two changes of the thread that runs. A loop that has just
//! been busy looks again by itself, within [`LOOKS_AGAIN`]; while it does, threads only write down which connection has
//! something. They ring when it does not, when much is written down, and when they have nothing to do themselves.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::reactor::Waker;
use crate::slab::Key;

/// What was written down waits no longer than this.
pub(super) const LOOKS_AGAIN: Duration = Duration::from_millis(1);

/// With so many it is worth while.
const MANY: usize = 32;

/// Between threads and the loop.
#[derive(Debug)]
pub(super) struct Bell {
    waker: Waker,
    notices: Mutex<Notices>,
}

#[derive(Debug, Default)]
struct Notices {
    keys: Vec<Key>,
    /// The loop will look by itself.
    looks: bool,
}

impl Bell {
    pub(super) fn new(waker: Waker) -> Self {
        Self { waker, notices: Mutex::default() }
    }

    fn notices(&self) -> MutexGuard<'_, Notices> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something for this connection.
    pub(super) fn note(&self, connection: Key) {
        let mut notices = self.notices();
        notices.keys.push(connection);
        if !notices.looks || notices.keys.len() >= MANY {
            self.ring(notices);
        }
    }

    /// Whoever has written something down has nothing else to do now, or waits.
    pub(super) fn flush(&self) {
        let notices = self.notices();
        if !notices.keys.is_empty() {
            self.ring(notices);
        }
    }

    fn ring(&self, mut notices: MutexGuard<'_, Notices>) {
        // It fails only when the loop is at its end.
        let _ = self.waker.wake_all(&mut notices.keys);
    }

    /// On the loop, before it waits: whether it looks again by itself, or sleeps until it is woken. Answers whether
    /// something was written down already: then it is awake.
    pub(super) fn before_waiting(&self, looks: bool) -> bool {
        let mut notices = self.notices();
        let has_some = !notices.keys.is_empty();
        notices.looks = looks || has_some;
        if has_some {
            self.ring(notices);
        }
        has_some
    }
}
