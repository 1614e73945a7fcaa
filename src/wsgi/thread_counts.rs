//! How many threads of a pool do what.
//!
//! ```text
//!            a job, and fewer than `limit` run
//!     idle ─────────────────────────────────────► running ──► a slow client ──► parked
//!       ▲                                          ▲   │                           │
//!       └── no job, or more than `limit` run ──────│───┘      room in the outbox   │
//!                                                  └───────────────────────────────┘
//! ```
//!
//! As many threads as may run do so, or a thread waits for a job, or no number is free. The thread that would break this
//! rule starts another one: only a thread of Python can do that, and the loop is none.

use std::time::Duration;

use crate::clock::Instant;

/// For how long a thread that was not needed is kept.
const KEEP: Duration = Duration::from_secs(10);

/// The counts of one pool.
#[derive(Debug)]
pub(super) struct ThreadCounts {
    /// Threads that may run the application at the same time.
    limit: usize,
    /// Numbers of threads that may be started.
    free: Vec<usize>,
    threads: usize,
    /// Threads that wait for a job.
    idle: usize,
    /// Threads that were woken and still count as idle.
    woken: usize,
    /// Threads that wait for a slow client.
    parked: usize,
    /// When a thread beyond `limit` was needed last.
    needed: Instant,
}

impl ThreadCounts {
    /// `spare` threads may be started beyond `limit`.
    pub(super) fn new(limit: usize, spare: usize) -> Self {
        let free = (0..limit + spare).rev().collect();
        Self { limit, free, threads: 0, idle: 0, woken: 0, parked: 0, needed: Instant::now() }
    }

    fn running(&self) -> usize {
        self.threads.saturating_sub(self.idle + self.parked)
    }

    /// Threads that take a job soon without being woken.
    pub(super) fn awake(&self) -> usize {
        self.running() + self.woken
    }

    pub(super) fn woken(&self) -> usize {
        self.woken
    }

    /// Whether threads wait for a job, or were woken for one.
    pub(super) fn has_idle(&self) -> bool {
        self.idle > 0
    }

    /// Threads that wait for a job and may take one.
    pub(super) fn free(&self) -> usize {
        self.idle.min(self.limit.saturating_sub(self.running()))
    }

    /// How many threads can be woken.
    fn asleep(&self) -> usize {
        let sleepers = self.idle.saturating_sub(self.woken);
        sleepers.min(self.limit.saturating_sub(self.awake()))
    }

    /// Whether a thread can be woken.
    pub(super) fn can_wake(&self) -> bool {
        self.asleep() > 0
    }

    /// Notes that threads are woken. Returns how many of `wanted`.
    pub(super) fn wake(&mut self, wanted: usize) -> usize {
        let count = wanted.min(self.asleep());
        self.woken += count;
        count
    }

    /// Notes that a thread is woken for something else than a job. Returns whether one sleeps.
    pub(super) fn wake_idle(&mut self) -> bool {
        let sleeps = self.idle > self.woken;
        self.woken += usize::from(sleeps);
        sleeps
    }

    /// Starts a thread. Returns its number.
    pub(super) fn start(&mut self) -> Option<usize> {
        let number = self.free.pop()?;
        self.threads += 1;
        Some(number)
    }

    /// The thread with this number ends, or does not start.
    pub(super) fn end(&mut self, number: usize) {
        self.threads = self.threads.saturating_sub(1);
        self.free.push(number);
    }

    /// Returns the number of the thread to start, if no thread would be left for the next job.
    fn start_spare(&mut self) -> Option<usize> {
        if self.idle > 0 || self.running() >= self.limit {
            return None;
        }
        self.needed = Instant::now();
        self.start()
    }

    /// A thread that has no job: whether it is to end. `now` reads the clock.
    pub(super) fn is_surplus(&self, now: impl FnOnce() -> Instant) -> bool {
        // Without it, as many threads as may run are left.
        self.threads - self.parked > self.limit && self.idle > 0 && now() >= self.needed + KEEP
    }

    /// A thread waits for a job.
    pub(super) fn sit_down(&mut self) {
        self.idle += 1;
    }

    /// A thread does not wait for a moment, and takes no job.
    pub(super) fn leave_seat(&mut self) {
        self.idle = self.idle.saturating_sub(1);
    }

    /// A thread that waited was woken.
    pub(super) fn note_woken(&mut self) {
        self.woken = self.woken.saturating_sub(1);
    }

    /// Whether a thread that waits may take a job.
    pub(super) fn may_stand_up(&self) -> bool {
        self.running() < self.limit
    }

    /// A thread does not wait any more. Returns the number of the thread to start.
    pub(super) fn stand_up(&mut self) -> Option<usize> {
        self.idle = self.idle.saturating_sub(1);
        self.start_spare()
    }

    /// Whether a thread that runs may take another job.
    pub(super) fn may_go_on(&self) -> bool {
        self.running() <= self.limit
    }

    /// A thread waits for a slow client. Returns the number of the thread to start.
    pub(super) fn park(&mut self) -> Option<usize> {
        self.parked += 1;
        self.start_spare()
    }

    /// A thread does not wait for its client any more.
    pub(super) fn unpark(&mut self) {
        self.parked = self.parked.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pool of 2 threads, with 3 spare ones, that all run.
    fn running() -> ThreadCounts {
        let mut counts = ThreadCounts::new(2, 3);
        assert_eq!((counts.start(), counts.start()), (Some(0), Some(1)));
        counts
    }

    #[test]
    fn a_parked_thread_is_replaced_once() {
        let mut counts = running();
        assert!(counts.may_go_on() && !counts.may_stand_up());
        assert_eq!(counts.park(), Some(2));
        counts.sit_down();
        // The spare thread waits: the next one that is parked starts none.
        assert_eq!(counts.park(), None);
        assert_eq!(counts.wake(5), 1);
        counts.note_woken();
        assert_eq!(counts.stand_up(), Some(3), "nobody would wait for the next job");
    }

    #[test]
    fn a_pool_has_no_more_threads_than_it_may() {
        let mut counts = running();
        assert_eq!(
            [counts.park(), counts.park(), counts.park(), counts.park()],
            [Some(2), Some(3), Some(4), None]
        );
        counts.unpark();
        counts.end(1);
        assert_eq!(counts.park(), Some(1), "a number is used again");
    }

    #[test]
    fn after_parked_threads_return_no_more_run_than_may() {
        let mut counts = running();
        assert_eq!(counts.park(), Some(2));
        counts.unpark();
        assert!(!counts.may_go_on(), "three run");
        counts.sit_down();
        assert!(counts.may_go_on() && !counts.may_stand_up() && !counts.can_wake());
        counts.sit_down();
        assert!(counts.may_stand_up() && counts.can_wake());
        assert_eq!(counts.wake(2), 1);
    }

    #[test]
    fn a_thread_that_was_not_needed_ends() {
        let mut counts = running();
        assert_eq!(counts.park(), Some(2));
        counts.unpark();
        counts.sit_down();
        assert!(!counts.is_surplus(Instant::now), "it was needed just now");
        let later = counts.needed + KEEP;
        assert!(counts.is_surplus(|| later));
        counts.park();
        assert!(!counts.is_surplus(|| later), "two are left, one of them parked");
    }
}
