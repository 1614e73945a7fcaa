//! What workers report to their master, in memory that they share.
//!
//! A [`Scoreboard`] is made before the fork and has a [`HeartbeatSlot`] for every worker: when it was last at its
//! loop, what it does, how many connections it has. A report costs a worker two stores in a turn and no system call,
//! neither side waits for the other, and the slot of a killed worker is merely old.
//!
//! ```text
//! worker: Heartbeat ──stores──► HeartbeatSlot ◄──loads── master: "not seen for 10 s" → ABRT, KILL
//!           └── one byte when it is ready, retires, is outdated ──► pipe ──► master: "all first workers are ready"
//! ```

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::sys::shared;

/// The longest time between two beats of an idle worker.
pub const RESTING_BEAT: Duration = Duration::from_secs(1);

/// Words of one slot: a whole cache line, so that the beats of one worker do not slow down another.
const WORDS: usize = 8;

/// The position of each word in a slot.
const BEAT: usize = 0;
const STATE: usize = 1;
const CONNECTIONS: usize = 2;
const GENERATION: usize = 3;
const OUTDATED: usize = 4;

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// It starts: opens files, loads an application.
    Booting,
    /// It serves.
    Ready,
    /// It accepts no connections, finishes its responses and exits.
    Draining,
}

/// The slots of all workers.
#[derive(Debug)]
pub struct Scoreboard {
    created: Instant,
    words: &'static [AtomicU64],
    taken: Vec<bool>,
}

impl Scoreboard {
    /// A board for `slots` workers. Make it once, before the first fork.
    ///
    /// # Errors
    /// As mmap(2): no memory.
    pub fn new(slots: usize) -> io::Result<Self> {
        let words = shared::words(slots * WORDS)?;
        Ok(Self { created: Instant::now(), words, taken: vec![false; slots] })
    }

    /// A slot for a worker that is about to be forked; `None` when all are taken.
    pub fn take(&mut self, generation: u64) -> Option<HeartbeatSlot> {
        let index = self.taken.iter().position(|taken| !taken)?;
        self.taken[index] = true;
        let words = &self.words[index * WORDS..][..WORDS];
        let slot = HeartbeatSlot { index, created: self.created, words };
        slot.set(STATE, WorkerState::Booting as u64);
        slot.set(CONNECTIONS, 0);
        slot.set(GENERATION, generation);
        slot.set(OUTDATED, 0);
        slot.beat(Instant::now());
        Some(slot)
    }

    /// Frees the slot of a worker that has ended.
    pub fn free(&mut self, slot: HeartbeatSlot) {
        self.taken[slot.index] = false;
    }
}

/// One worker's words on the scoreboard, as the master reads them.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatSlot {
    index: usize,
    created: Instant,
    words: &'static [AtomicU64],
}

impl HeartbeatSlot {
    fn set(&self, word: usize, value: u64) {
        self.words[word].store(value, Ordering::Relaxed);
    }

    fn get(&self, word: usize) -> u64 {
        self.words[word].load(Ordering::Relaxed)
    }

    fn beat(&self, now: Instant) {
        let millis = now.saturating_duration_since(self.created).as_millis();
        self.set(BEAT, u64::try_from(millis).unwrap_or(u64::MAX));
    }

    /// When the worker was last at its loop, to the millisecond; before its first beat, when the slot was taken.
    #[must_use]
    pub fn last_beat(&self) -> Instant {
        self.created + Duration::from_millis(self.get(BEAT))
    }

    /// What the worker is doing.
    #[must_use]
    pub fn state(&self) -> WorkerState {
        match self.get(STATE) {
            0 => WorkerState::Booting,
            1 => WorkerState::Ready,
            _ => WorkerState::Draining,
        }
    }

    /// Whether the worker has noticed that what it serves is no longer what the configuration names; true once for each
    /// report.
    #[must_use]
    pub fn take_outdated(&self) -> bool {
        self.words[OUTDATED].swap(0, Ordering::Relaxed) != 0
    }

    /// The number of the worker's open connections.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.get(CONNECTIONS)
    }

    /// The worker's generation: each reload begins a new one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.get(GENERATION)
    }
}

/// The worker's end: writes its slot, and wakes the master.
#[derive(Debug)]
pub struct Heartbeat {
    slot: HeartbeatSlot,
    every: Duration,
    /// The pipe that wakes the master when it should look at the slot.
    report: Option<OwnedFd>,
}

impl Heartbeat {
    /// For the worker that `slot` was taken for. It beats at least once in the time `every`, and writes to the pipe
    /// `report` when the master should look.
    #[must_use]
    pub fn new(slot: HeartbeatSlot, every: Duration, report: OwnedFd) -> Self {
        Self { slot, every, report: Some(report) }
    }

    /// For a worker without a master.
    ///
    /// # Errors
    /// As [`Scoreboard::new`].
    pub fn unwatched() -> io::Result<Self> {
        let slot = Scoreboard::new(1)?.take(0).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { slot, every: RESTING_BEAT, report: None })
    }

    /// The longest time between two beats.
    #[must_use]
    pub fn every(&self) -> Duration {
        self.every
    }

    /// Reports that the worker serves from now on.
    pub fn ready(&self) {
        self.slot.set(STATE, WorkerState::Ready as u64);
        self.wake_master();
    }

    /// Reports that what the worker serves is no longer what the configuration names: the master reads it again.
    pub fn outdated(&self) {
        if self.slot.words[OUTDATED].swap(1, Ordering::Relaxed) == 0 {
            self.wake_master();
        }
    }

    /// Reports that the worker has reached its limit: the master forks a replacement and lets this one drain.
    pub fn retire(&self) {
        self.slot.set(STATE, WorkerState::Draining as u64);
        self.wake_master();
    }

    /// Writes a byte that only wakes the master, which then reads the slot. A full pipe wakes it as well.
    fn wake_master(&self) {
        if let Some(report) = &self.report {
            let _ = rustix::io::write(report, b"!");
        }
    }

    /// Reports that the worker is at its loop, and how many connections it has.
    pub fn beat(&self, now: Instant, connections: usize) {
        self.slot.beat(now);
        self.slot.set(CONNECTIONS, connections as u64);
    }

    /// Reports that the worker accepts no connections any more.
    pub fn draining(&self) {
        self.slot.set(STATE, WorkerState::Draining as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::descriptor;
    use std::os::fd::AsFd;

    #[test]
    fn the_master_sees_what_a_worker_reports() {
        let mut board = Scoreboard::new(2).expect("a board");
        let (read, write) = descriptor::pipe().expect("a pipe");
        let slot = board.take(7).expect("a slot");
        let heartbeat = Heartbeat::new(slot, RESTING_BEAT, write);
        assert_eq!((slot.state(), slot.generation(), slot.connections()), (WorkerState::Booting, 7, 0));
        heartbeat.ready();
        let mut bytes = 0;
        assert!(descriptor::drain_pipe(read.as_fd(), |piece| bytes += piece.len()).expect("a byte"));
        assert_eq!((bytes, slot.state()), (1, WorkerState::Ready));
        let later = Instant::now() + Duration::from_secs(5);
        heartbeat.beat(later, 3);
        assert!(later.saturating_duration_since(slot.last_beat()) < Duration::from_millis(2));
        assert_eq!(slot.connections(), 3);
        heartbeat.draining();
        assert_eq!(slot.state(), WorkerState::Draining);
        slot.set(STATE, WorkerState::Ready as u64);
        heartbeat.retire();
        descriptor::drain_pipe(read.as_fd(), |piece| bytes += piece.len()).expect("another byte");
        assert_eq!((bytes, slot.state()), (2, WorkerState::Draining));
        assert!(!slot.take_outdated());
        heartbeat.outdated();
        heartbeat.outdated();
        descriptor::drain_pipe(read.as_fd(), |piece| bytes += piece.len()).expect("another byte");
        assert_eq!((bytes, slot.take_outdated(), slot.take_outdated()), (3, true, false));
    }

    #[test]
    fn freed_slots_are_taken_again() {
        let mut board = Scoreboard::new(2).expect("a board");
        let (first, second) = (board.take(1).expect("a slot"), board.take(1).expect("a slot"));
        assert!(first.index != second.index && board.take(1).is_none());
        first.set(CONNECTIONS, 9);
        board.free(first);
        let again = board.take(2).expect("a slot");
        assert_eq!((again.index, again.connections()), (first.index, 0));
    }
}
