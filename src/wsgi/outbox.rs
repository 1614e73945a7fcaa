//! Between an application's thread and the loop: what has been made of one answer and not been fetched yet.
//!
//! ```text
//! thread: push ──► wire ──► loop: fetch, when the socket has taken what came before
//!    ▲               │
//!    └── waits while there is more than the high-water mark
//! ```

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::bell::Bell;
use crate::chat::{FileSlice, HIGH_WATER, OutQueue};
use crate::http1::{Completion, Progress, Status};
use crate::slab::Key;

/// Nobody waits for the answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// The way of one answer to the loop.
#[derive(Debug)]
pub(super) struct Outbox {
    state: Mutex<State>,
    room: Condvar,
    bell: Arc<Bell>,
    connection: Key,
}

#[derive(Debug, Default)]
struct State {
    wire: Vec<u8>,
    file: Option<FileSlice>,
    answered: Option<(Status, u64)>,
    end: Option<Completion>,
    gone: bool,
    /// The thread waits for room.
    waits: bool,
    /// The loop has been told of what is here.
    told: bool,
}

impl State {
    fn is_full(&self) -> bool {
        self.wire.len() as u64 >= HIGH_WATER
    }
}

impl Outbox {
    /// `memory` is empty; the thread gets it for the memory that it hands over.
    pub(super) fn new(bell: Arc<Bell>, connection: Key, memory: Vec<u8>) -> Self {
        let state = State { wire: memory, ..State::default() };
        Self { state: Mutex::new(state), room: Condvar::new(), bell, connection }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in between leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody waits for it.
    pub(super) fn is_gone(&self) -> bool {
        self.state().gone
    }

    /// Hands bytes to the loop. They are taken even when there is much there: see [`Outbox::wait_for_room`].
    pub(super) fn push(&self, wire: &mut Vec<u8>, answered: Option<(Status, u64)>) -> Result<(), Gone> {
        let mut state = self.state();
        if state.gone {
            wire.clear();
            return Err(Gone);
        }
        state.answered = answered;
        state.add(wire);
        self.tell(state);
        Ok(())
    }

    /// Hands over the rest.
    pub(super) fn end(
        &self,
        wire: &mut Vec<u8>,
        answered: Option<(Status, u64)>,
        file: Option<FileSlice>,
        ending: Completion,
    ) {
        let mut state = self.state();
        if state.gone {
            wire.clear();
            return;
        }
        state.answered = answered;
        state.add(wire);
        (state.file, state.end) = (file, Some(ending));
        self.tell(state);
    }

    fn tell(&self, mut state: MutexGuard<'_, State>) {
        let told = std::mem::replace(&mut state.told, true);
        drop(state);
        if !told {
            self.bell.note(self.connection);
        }
    }

    /// Whether the thread had better wait.
    pub(super) fn is_full(&self) -> bool {
        self.state().is_full()
    }

    /// Waits until the client has taken enough of it.
    ///
    /// # Errors
    /// It takes no more.
    pub(super) fn wait_for_room(&self) -> Result<(), Gone> {
        self.bell.flush();
        let mut state = self.state();
        while state.is_full() && !state.gone {
            state.waits = true;
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waits = false;
        if state.gone { Err(Gone) } else { Ok(()) }
    }

    /// On the loop: moves what is here behind what waits to be sent.
    pub(super) fn fetch(&self, out: &mut OutQueue) -> Progress {
        let mut state = self.state();
        state.told = false;
        out.push_from(&mut state.wire);
        if let Some(file) = state.file.take() {
            out.push_file(file);
        }
        if state.waits {
            self.room.notify_one();
        }
        state.end.take().map_or(Progress::Pending, Progress::End)
    }

    /// On the loop, when all of it has been fetched: memory for another one.
    pub(super) fn take_memory(&self) -> Vec<u8> {
        std::mem::take(&mut self.state().wire)
    }

    /// On the loop: status and length of the head, if it has been fetched.
    pub(super) fn answered(&self) -> Option<(Status, u64)> {
        self.state().answered
    }

    /// On the loop: nobody waits for it any more.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        *state = State { gone: true, waits: state.waits, ..State::default() };
        if state.waits {
            self.room.notify_one();
        }
    }
}

impl State {
    fn add(&mut self, wire: &mut Vec<u8>) {
        if self.wire.is_empty() {
            std::mem::swap(&mut self.wire, wire);
            wire.clear();
        } else {
            self.wire.append(wire);
        }
    }
}
