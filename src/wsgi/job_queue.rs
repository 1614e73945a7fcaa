//! Requests on their way from the loop to the threads of a pool, and how many threads to wake for them.
//!
//! Only one thread has the interpreter at a time. While the application is quick, one thread does all the work, and
//! more would only be in its way. When jobs wait although threads sleep, the application waits for something: then each
//! job is worth a thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::batched_waker::RECHECK;
use super::outbox::Outbox;
use super::request::OwnedRequest;
use super::shared::lock;
use super::thread_counts::ThreadCounts;
use crate::clock::Instant;

/// Threads that were woken in a row for nothing. After that many, one thread is enough again.
const MAX_WASTED: u32 = 8;

/// A request that waits for a thread.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) request: OwnedRequest,
    pub(super) outbox: Arc<Outbox>,
}

/// What a thread does after it has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// It takes a job.
    Work,
    /// It starts the thread with this number, and takes a job.
    StartAndWork(usize),
    /// It releases large pieces that were sent, and waits again.
    Release,
    /// It ends.
    End,
}

/// The queue of a pool. Each connection of the worker has at most one job in it.
#[derive(Debug)]
pub(super) struct JobQueue {
    state: Mutex<QueueState>,
    ready: Condvar,
}

#[derive(Debug)]
struct QueueState {
    jobs: VecDeque<Job>,
    /// Jobs that were taken since the pool began; wraps.
    taken: u64,
    /// The value of `taken` that the loop saw last, and when it saw that value first.
    seen: Option<(u64, Instant)>,
    threads: ThreadCounts,
    /// Whether each job is worth a thread.
    is_slow: bool,
    /// Threads that were woken in a row for nothing.
    wasted: u32,
    /// Memory of finished requests.
    spare: Vec<OwnedRequest>,
    /// Whether a thread is to release what was sent.
    has_release: bool,
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

    /// Whether there is a job for a thread that waits.
    fn may_take(&self) -> bool {
        !self.jobs.is_empty() && self.threads.may_stand_up()
    }

    /// Returns how many threads to wake now.
    fn wake_more(&mut self) -> usize {
        let wanted = match self.is_slow {
            true => self.jobs.len().saturating_sub(self.threads.woken()),
            false => self.jobs.len().min(1).saturating_sub(self.threads.awake()),
        };
        self.threads.wake(wanted)
    }
}

impl JobQueue {
    pub(super) fn new(threads: ThreadCounts) -> Self {
        let state = QueueState {
            jobs: VecDeque::new(),
            taken: 0,
            seen: None,
            threads,
            is_slow: false,
            wasted: 0,
            spare: Vec::new(),
            has_release: false,
            is_closed: false,
        };
        Self { state: Mutex::new(state), ready: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        lock(&self.state)
    }

    /// On the loop: takes `jobs`, and wakes as many threads as they need. An empty `spare` is exchanged for the memory
    /// of finished requests. Returns whether jobs wait although threads sleep: then the loop looks again soon.
    pub(super) fn take(&self, jobs: &mut VecDeque<Job>, spare: &mut Vec<OwnedRequest>) -> bool {
        let mut state = self.state();
        state.note_waiting_jobs(!jobs.is_empty());
        state.jobs.append(jobs);
        let count = state.wake_more();
        if spare.is_empty() {
            std::mem::swap(spare, &mut state.spare);
        }
        let is_waiting = !state.jobs.is_empty() && state.threads.can_wake();
        drop(state);
        (0..count).for_each(|_| self.ready.notify_one());
        is_waiting
    }

    /// On the loop: whether a thread is free for each job that waits, and for `coming` more.
    pub(super) fn has_threads_for(&self, coming: usize) -> bool {
        let state = self.state();
        state.threads.free() >= state.jobs.len() + coming
    }

    /// On the loop: frees jobs that are not run any more, if there may be `gone` of them and they are most of the queue.
    /// Returns whether it did.
    pub(super) fn sweep(&self, gone: usize) -> bool {
        let mut state = self.state();
        let is_worth_it = gone * 2 >= state.jobs.len();
        if is_worth_it {
            state.jobs.retain(|job| !job.outbox.is_abandoned());
        }
        is_worth_it
    }

    /// On the loop: takes all jobs back.
    pub(super) fn take_back(&self) -> VecDeque<Job> {
        std::mem::take(&mut self.state().jobs)
    }

    /// On the loop: for how long no job was taken, if one waits whose client is there; and whether there are threads
    /// that wait for jobs, which cannot take one without the interpreter.
    pub(super) fn waiting(&self) -> Option<(Duration, bool)> {
        let state = self.state();
        let since = state.seen.filter(|(taken, _)| *taken == state.taken);
        let time = since.map_or(Duration::ZERO, |(_, since)| since.elapsed());
        let waits = state.jobs.iter().any(|job| !job.outbox.is_abandoned());
        waits.then(|| (time, state.threads.has_idle()))
    }

    /// Counts a thread that is about to start. Returns its number.
    pub(super) fn start_thread(&self) -> Option<usize> {
        self.state().threads.start()
    }

    /// A thread does not start.
    pub(super) fn give_up_thread(&self, number: usize) {
        self.state().threads.end(number);
    }

    /// On the loop: has a thread release what was sent, if one sleeps. A thread that does not sleep does so after its job.
    pub(super) fn wake_for_release(&self) {
        let mut state = self.state();
        if state.threads.wake_idle() {
            state.has_release = true;
            drop(state);
            self.ready.notify_one();
        }
    }

    /// On the thread with this number: waits until there may be a job.
    pub(super) fn wait(&self, number: usize) -> Wake {
        let mut state = self.state();
        if state.threads.is_surplus(Instant::now) {
            state.threads.end(number);
            return Wake::End;
        }
        state.threads.sit_down();
        while !state.is_closed && !state.has_release && !state.may_take() {
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.threads.note_woken();
            if state.jobs.is_empty() && !state.has_release {
                state.note_wake(false);
            }
        }
        if state.is_closed {
            return Wake::End;
        }
        if std::mem::take(&mut state.has_release) && !state.may_take() {
            state.threads.leave_seat();
            return Wake::Release;
        }
        state.threads.stand_up().map_or(Wake::Work, Wake::StartAndWork)
    }

    /// On a thread: returns the next job, if there is one for it; `finished` is the request of the last one.
    pub(super) fn next(&self, finished: Option<OwnedRequest>) -> Option<Job> {
        let mut state = self.state();
        if let Some(request) = finished {
            request.keep_in(&mut state.spare);
        }
        if !state.threads.may_go_on() {
            return None;
        }
        let job = state.jobs.pop_front()?;
        state.taken = state.taken.wrapping_add(1);
        Some(job)
    }

    /// On a thread that was woken: notes whether it found a job.
    pub(super) fn note_wake(&self, found: bool) {
        self.state().note_wake(found);
    }

    /// On a thread that is about to wait for a slow client: another one may run in its place. Returns the number of the
    /// thread to start.
    pub(super) fn park(&self) -> Option<usize> {
        let mut state = self.state();
        let number = state.threads.park();
        let wakes = !state.jobs.is_empty() && state.threads.wake(1) > 0;
        drop(state);
        if wakes {
            self.ready.notify_one();
        }
        number
    }

    /// On a thread: it has waited for its client.
    pub(super) fn unpark(&self) {
        self.state().threads.unpark();
    }

    /// Ends the threads that wait for a job. The clients of all jobs are gone.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.jobs.clear();
        drop(state);
        self.ready.notify_all();
    }
}
