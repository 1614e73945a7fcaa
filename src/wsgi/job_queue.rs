//! Requests on their way from the loop to the threads of a pool, and how many threads to wake for them.
//!
//! Only one thread has the interpreter at a time. While the application is quick, one thread does all the work, and
//! more would only be in its way. When jobs wait although threads sleep, the application waits for something: then each
//! job is worth a thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::batched_waker::RECHECK;
use super::outbox::Outbox;
use super::request::OwnedRequest;
use super::shared::lock;
use crate::clock::Instant;

/// Threads that were woken in a row for nothing. After that many, one thread is enough again.
const MAX_WASTED: u32 = 8;

/// A request that waits for a thread.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) request: OwnedRequest,
    pub(super) outbox: Arc<Outbox>,
}

/// The queue of a pool. Each connection of the worker has at most one job in it.
#[derive(Debug, Default)]
pub(super) struct JobQueue {
    state: Mutex<QueueState>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    /// Jobs that were taken since the pool began; wraps.
    taken: u64,
    /// The value of `taken` that the loop saw last, and when it saw that value first.
    seen: Option<(u64, Instant)>,
    /// Threads that wait for a job.
    idle: usize,
    /// Threads that were woken and still count as idle.
    woken: usize,
    /// Whether each job is worth a thread.
    is_slow: bool,
    /// Threads that were woken in a row for nothing.
    wasted: u32,
    /// Memory of finished requests.
    spare: Vec<OwnedRequest>,
    is_closed: bool,
}

impl QueueState {
    /// Notes that a thread was woken, and whether it found a job.
    fn note_wake(&mut self, found: bool) {
        self.wasted = if found { 0 } else { self.wasted.saturating_add(1) };
        self.is_slow &= self.wasted < MAX_WASTED;
    }

    /// Finds out whether jobs wait although threads sleep; `comes`: there will be a job, if there is none.
    fn note_waiting_jobs(&mut self, comes: bool) {
        if self.jobs.is_empty() && !comes {
            return;
        }
        let now = Instant::now();
        match self.seen {
            Some((taken, since)) if taken == self.taken && !self.jobs.is_empty() => {
                if now - since >= RECHECK {
                    (self.is_slow, self.wasted) = (true, 0);
                }
            }
            _ => self.seen = Some((self.taken, now)),
        }
    }

    /// Returns how many of `threads` to wake now.
    fn wake_more(&mut self, threads: usize) -> usize {
        let asleep = self.idle.saturating_sub(self.woken);
        let awake = threads.saturating_sub(asleep);
        let wanted = match self.is_slow {
            true => self.jobs.len().saturating_sub(self.woken),
            false => self.jobs.len().min(1).saturating_sub(awake),
        };
        let count = wanted.min(asleep);
        self.woken += count;
        count
    }
}

impl JobQueue {
    /// On the loop: takes `jobs`, and wakes as many of `threads` as they need. An empty `spare` is exchanged for the
    /// memory of finished requests. Returns whether jobs wait although threads sleep: then the loop looks again soon.
    pub(super) fn take(
        &self,
        jobs: &mut VecDeque<Job>,
        spare: &mut Vec<OwnedRequest>,
        threads: usize,
    ) -> bool {
        let mut state = lock(&self.state);
        state.note_waiting_jobs(!jobs.is_empty());
        state.jobs.append(jobs);
        let count = state.wake_more(threads);
        if spare.is_empty() {
            std::mem::swap(spare, &mut state.spare);
        }
        let is_waiting = !state.jobs.is_empty() && state.idle > state.woken;
        drop(state);
        (0..count).for_each(|_| self.ready.notify_one());
        is_waiting
    }

    /// On the loop: whether a thread is free for each job that waits, and for `coming` more.
    pub(super) fn has_threads_for(&self, coming: usize) -> bool {
        let state = lock(&self.state);
        state.idle >= state.jobs.len() + coming
    }

    /// On a thread: waits until there may be a job. Returns `false` when the queue is closed and empty.
    pub(super) fn wait(&self) -> bool {
        let mut state = lock(&self.state);
        state.idle += 1;
        while state.jobs.is_empty() && !state.is_closed {
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.woken = state.woken.saturating_sub(1);
            if state.jobs.is_empty() {
                state.note_wake(false);
            }
        }
        state.idle -= 1;
        !state.jobs.is_empty()
    }

    /// On a thread: returns the next job, if there is one; `finished` is the request of the last one.
    pub(super) fn next(&self, finished: Option<OwnedRequest>) -> Option<Job> {
        let mut state = lock(&self.state);
        if let Some(request) = finished {
            request.keep_in(&mut state.spare);
        }
        let job = state.jobs.pop_front()?;
        state.taken = state.taken.wrapping_add(1);
        Some(job)
    }

    /// On a thread that was woken: notes whether it found a job.
    pub(super) fn note_wake(&self, found: bool) {
        lock(&self.state).note_wake(found);
    }

    /// Ends the threads that wait for a job.
    pub(super) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.ready.notify_all();
    }
}
