//! Output of one response, on its way from a thread of the pool to the loop.
//!
//! ```text
//! thread: push ──► wire ──► loop: fetch, when the socket has taken what was fetched before
//!    ▲               │
//!    └── waits while `wire` is above the high-water mark
//! ```

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::batched_waker::BatchedWaker;
use super::shared::lock;
use super::wire::FramedBytes;
use crate::chat::{FileSlice, HIGH_WATER, OutQueue};
use crate::http1::{Completion, Progress, Status};
use crate::slab::Key;

/// The client is gone: its connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disconnected;

/// The output of one response.
#[derive(Debug)]
pub(super) struct Outbox {
    state: Mutex<OutboxState>,
    room: Condvar,
    waker: Arc<BatchedWaker>,
    connection: Key,
    /// Whether the application is called also for a client that is gone.
    runs_abandoned: bool,
}

#[derive(Debug, Default)]
struct OutboxState {
    wire: FramedBytes,
    /// Follows `wire`.
    file: Option<FileSlice>,
    /// Status and bytes of the head, once that is in `wire`.
    status: Option<(Status, u64)>,
    /// The field lines of the head, if the log wants them.
    fields: Vec<u8>,
    completion: Option<Completion>,
    /// Whether a thread has taken the request.
    is_begun: bool,
    is_gone: bool,
    /// Whether the thread waits for room.
    waits: bool,
    /// Whether the loop is notified of what is here.
    is_noted: bool,
}

impl OutboxState {
    fn is_full(&self) -> bool {
        self.wire.len() >= HIGH_WATER
    }
}

impl Outbox {
    /// `memory` is empty; the thread receives it in exchange for the first bytes. `runs_abandoned`: the application is
    /// called although the client is gone.
    pub(super) fn new(
        waker: Arc<BatchedWaker>,
        connection: Key,
        memory: Vec<u8>,
        runs_abandoned: bool,
    ) -> Self {
        let state = OutboxState { wire: memory.into(), ..OutboxState::default() };
        Self { state: Mutex::new(state), room: Condvar::new(), waker, connection, runs_abandoned }
    }

    /// On a thread that takes the request: returns whether to call the application.
    pub(super) fn begin(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_begun = true;
        !state.is_gone || self.runs_abandoned
    }

    /// Whether the application is not called any more.
    pub(super) fn is_abandoned(&self) -> bool {
        lock(&self.state).is_gone && !self.runs_abandoned
    }

    /// On the loop: gives the response up unless a thread has taken the request. Returns whether it did.
    pub(super) fn give_up(&self) -> bool {
        let mut state = lock(&self.state);
        state.is_gone |= !state.is_begun && !self.runs_abandoned;
        state.is_gone
    }

    /// Takes bytes for the loop, also above the high-water mark: the thread calls [`Outbox::wait_for_room`] then.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) fn push(
        &self,
        wire: &mut FramedBytes,
        status: Option<(Status, u64)>,
    ) -> Result<(), Disconnected> {
        let mut state = lock(&self.state);
        if state.is_gone {
            wire.clear();
            return Err(Disconnected);
        }
        state.status = status;
        state.wire.append(wire);
        self.notify(state);
        Ok(())
    }

    /// Takes the rest of the response.
    pub(super) fn end(
        &self,
        wire: &mut FramedBytes,
        status: Option<(Status, u64)>,
        file: Option<FileSlice>,
        completion: Completion,
    ) {
        let mut state = lock(&self.state);
        if state.is_gone {
            wire.clear();
            return;
        }
        state.status = status;
        state.wire.append(wire);
        (state.file, state.completion) = (file, Some(completion));
        self.notify(state);
    }

    fn notify(&self, mut state: MutexGuard<'_, OutboxState>) {
        let was_noted = std::mem::replace(&mut state.is_noted, true);
        drop(state);
        if !was_noted {
            self.waker.note(self.connection);
        }
    }

    /// Whether the output is above the high-water mark.
    pub(super) fn is_full(&self) -> bool {
        lock(&self.state).is_full()
    }

    /// Waits until the output is below the high-water mark. Returns `None` if that takes `longest`.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) fn wait_for_room(&self, longest: Option<Duration>) -> Option<Result<(), Disconnected>> {
        self.waker.flush();
        let mut state = lock(&self.state);
        let must_wait = |state: &mut OutboxState| state.is_full() && !state.is_gone;
        state.waits = true;
        state = match longest {
            Some(longest) => {
                let result = self.room.wait_timeout_while(state, longest, |state| must_wait(state));
                result.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                self.room.wait_while(state, |state| must_wait(state)).unwrap_or_else(PoisonError::into_inner)
            }
        };
        state.waits = false;
        match (state.is_gone, state.is_full()) {
            (true, _) => Some(Err(Disconnected)),
            (false, is_full) => (!is_full).then_some(Ok(())),
        }
    }

    /// On the loop: moves the output to `out`.
    pub(super) fn fetch(&self, out: &mut OutQueue) -> Progress {
        let mut state = lock(&self.state);
        state.is_noted = false;
        state.wire.move_to(out);
        if let Some(file) = state.file.take() {
            out.push_file(file);
        }
        if state.waits {
            self.room.notify_one();
        }
        state.completion.take().map_or(Progress::Pending, Progress::End)
    }

    /// On the loop, after all output was fetched: returns the empty memory.
    pub(super) fn take_memory(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.state).wire.bytes)
    }

    /// Returns the status and the bytes of the head, once that is here.
    pub(super) fn status(&self) -> Option<(Status, u64)> {
        lock(&self.state).status
    }

    /// Keeps the field lines of the head, for the log.
    pub(super) fn set_fields(&self, fields: &[u8]) {
        lock(&self.state).fields = fields.into();
    }

    /// On the loop: takes the field lines of the head.
    pub(super) fn fields(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.state).fields)
    }

    /// On the loop: the response is over, or the client gone. Output that comes after it is dropped.
    pub(super) fn leave(&self) {
        let mut state = lock(&self.state);
        *state = OutboxState { is_gone: true, waits: state.waits, ..OutboxState::default() };
        if state.waits {
            self.room.notify_one();
        }
    }
}
