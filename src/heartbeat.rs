//! What workers tell their master while they work, in memory that they share.
//!
//! A [`Scoreboard`] is made before the fork and has a [`HeartbeatSlot`] for every worker: when it was last at its loop, what it is
//! doing, how many connections it has. Telling costs a worker three stores in a turn and no system call; nobody waits
//! for anybody, and a worker that is killed leaves a slot behind that is merely old.
//!
//! ```text
//! worker: Heartbeat ──stores──► HeartbeatSlot ◄──loads── master: "not seen for 10 s" → ABRT, KILL
//!           └── one byte when it is ready, or retires ──► pipe ──► master: "all first workers are ready"
//! ```

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::sys::shared;

/// The longest time between two beats of a worker that has nothing to do.
pub const RESTING_BEAT: Duration = Duration::from_secs(1);

/// Words of one slot: a cache line of its own, so that the beats of one worker do not slow down another.
const WORDS: usize = 8;

/// What stands where in a slot.
const BEAT: usize = 0;
const STATE: usize = 1;
const CONNECTIONS: usize = 2;
const GENERATION: usize = 3;

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// It sets itself up.
    Booting,
    /// It serves.
    Ready,
    /// It finishes what is due, and leaves.
    Draining,
}

/// The slots of all workers.
#[derive(Debug)]
pub struct Scoreboard {
    begun: Instant,
    words: &'static [AtomicU64],
    taken: Vec<bool>,
}

impl Scoreboard {
    /// A board with room for so many workers. Make it once, before the first fork.
    ///
    /// # Errors
    /// As mmap(2): no memory.
    pub fn new(slots: usize) -> io::Result<Self> {
        let words = shared::words(slots * WORDS)?;
        Ok(Self { begun: Instant::now(), words, taken: vec![false; slots] })
    }

    /// A slot for a worker that is about to be forked; `None` when there is none left.
    pub fn take(&mut self, generation: u64) -> Option<HeartbeatSlot> {
        let index = self.taken.iter().position(|taken| !taken)?;
        self.taken[index] = true;
        let words = &self.words[index * WORDS..][..WORDS];
        let slot = HeartbeatSlot { index, begun: self.begun, words };
        slot.set(STATE, WorkerState::Booting as u64);
        slot.set(CONNECTIONS, 0);
        slot.set(GENERATION, generation);
        slot.beat(Instant::now());
        Some(slot)
    }

    /// Gives the slot of a worker that has ended to others.
    pub fn free(&mut self, slot: HeartbeatSlot) {
        self.taken[slot.index] = false;
    }
}

/// One worker's place on the board.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatSlot {
    index: usize,
    begun: Instant,
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
        let millis = now.saturating_duration_since(self.begun).as_millis();
        self.set(BEAT, u64::try_from(millis).unwrap_or(u64::MAX));
    }

    /// When the worker was last at its loop, to the millisecond; at first, when the slot was taken.
    #[must_use]
    pub fn last_beat(&self) -> Instant {
        self.begun + Duration::from_millis(self.get(BEAT))
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> WorkerState {
        match self.get(STATE) {
            0 => WorkerState::Booting,
            1 => WorkerState::Ready,
            _ => WorkerState::Draining,
        }
    }

    /// How many connections it has.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.get(CONNECTIONS)
    }

    /// Of which generation it is: each reload begins a new one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.get(GENERATION)
    }
}

/// A worker's end of it.
#[derive(Debug)]
pub struct Heartbeat {
    slot: HeartbeatSlot,
    every: Duration,
    /// Where the master waits for the word that this worker is ready, or wants to leave.
    report: Option<OwnedFd>,
    may_retire: bool,
}

impl Heartbeat {
    /// For the worker that `slot` was taken for: it beats `every` so often at the least, and says on the pipe
    /// `report` that it is ready.
    #[must_use]
    pub fn new(slot: HeartbeatSlot, every: Duration, report: OwnedFd) -> Self {
        Self { slot, every, report: Some(report), may_retire: false }
    }

    /// For a worker without a master.
    ///
    /// # Errors
    /// As [`Scoreboard::new`].
    pub fn unwatched() -> io::Result<Self> {
        let slot = Scoreboard::new(1)?.take(0).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { slot, every: RESTING_BEAT, report: None, may_retire: false })
    }

    /// For a worker that may want to leave by itself: it keeps the pipe to say so.
    #[must_use]
    pub fn which_may_retire(self) -> Self {
        Self { may_retire: true, ..self }
    }

    /// The longest time between two beats.
    #[must_use]
    pub fn every(&self) -> Duration {
        self.every
    }

    /// Says that the worker serves from now on.
    pub fn ready(&mut self) {
        self.slot.set(STATE, WorkerState::Ready as u64);
        self.call_the_master();
        if !self.may_retire {
            self.report = None;
        }
    }

    /// Says that a worker which may retire has done enough: its master fills the seat with another one, and lets this one finish.
    pub fn retire(&mut self) {
        self.slot.set(STATE, WorkerState::Draining as u64);
        self.call_the_master();
    }

    /// The byte only wakes the master; what counts stands in the slot. A full pipe wakes it as well.
    fn call_the_master(&self) {
        if let Some(report) = &self.report {
            let _ = rustix::io::write(report, b"!");
        }
    }

    /// Says that the worker is at its loop, and what it has.
    pub fn beat(&self, now: Instant, connections: usize) {
        self.slot.beat(now);
        self.slot.set(CONNECTIONS, connections as u64);
    }

    /// Says that the worker takes nobody in any more.
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
    fn what_a_worker_says_is_seen() {
        let mut board = Scoreboard::new(2).expect("a board");
        let (read, write) = descriptor::pipe().expect("a pipe");
        let slot = board.take(7).expect("a slot");
        let mut heartbeat = Heartbeat::new(slot, RESTING_BEAT, write).which_may_retire();
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
    }

    /// RULES D27: who has nothing more to say lets go of the pipe.
    #[test]
    fn the_pipe_is_closed_behind_the_word() {
        let (read, write) = descriptor::pipe().expect("a pipe");
        let slot = Scoreboard::new(1).expect("a board").take(1).expect("a slot");
        let mut heartbeat = Heartbeat::new(slot, RESTING_BEAT, write);
        heartbeat.ready();
        let mut bytes = 0;
        assert!(!descriptor::drain_pipe(read.as_fd(), |piece| bytes += piece.len()).expect("a byte"));
        assert_eq!(bytes, 1);
    }

    #[test]
    fn slots_are_given_again() {
        let mut board = Scoreboard::new(2).expect("a board");
        let (first, second) = (board.take(1).expect("a slot"), board.take(1).expect("a slot"));
        assert!(first.index != second.index && board.take(1).is_none());
        first.set(CONNECTIONS, 9);
        board.free(first);
        let again = board.take(2).expect("a slot");
        assert_eq!((again.index, again.connections()), (first.index, 0));
    }
}
