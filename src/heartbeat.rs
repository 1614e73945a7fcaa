//! What workers report to their master and to each other, in memory that they share.
//!
//! A [`Scoreboard`] is made before the fork and has a [`HeartbeatSlot`] for every worker: when it was last at its
//! loop, what it does, how many connections it has. A report is a store, in each turn and at each accept and close, and no
//! system call; no side waits for another, and the slot of a killed worker is merely old.
//!
//! ```text
//! worker: Heartbeat ──stores──► HeartbeatSlot ◄──loads── master: "not seen for 10 s" → ABRT, KILL
//!           ├── Shares ──loads──► the slots of all workers: "the next connection is another's"
//!           └── one byte when it is ready, retires, is outdated ──► pipe ──► master: "all first workers are ready"
//! ```

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock;
use crate::sys::shared;

/// The longest time between two beats of an idle worker.
pub const RESTING_BEAT: Duration = Duration::from_secs(1);

/// Words of one slot: a whole cache line, so that the beats of one worker do not slow down another.
const WORDS: usize = 8;

/// The words before the first slot; the first of them is the number of slots up to the last one that is taken.
const HEADER: usize = WORDS;
const USED: usize = 0;

/// A worker that was not at its loop for this long is taken to hang, by the other workers; it is more than the time between
/// two beats of an idle one.
const HANGS_AFTER: Duration = Duration::from_millis(1200);

/// A worker that has just been forked is expected to serve within this time.
const STARTS_IN: Duration = Duration::from_millis(20);

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
    /// It has ended, and no other worker has its slot yet.
    Ended,
}

/// The slots of all workers.
#[derive(Debug)]
pub struct Scoreboard {
    /// On both clocks: beats are counted on ours, which costs a turn less.
    created: (Instant, clock::Instant),
    words: &'static [AtomicU64],
    taken: Vec<bool>,
}

impl Scoreboard {
    /// A board for `slots` workers. Make it once, before the first fork.
    ///
    /// # Errors
    /// As mmap(2): no memory.
    pub fn new(slots: usize) -> io::Result<Self> {
        let words = shared::words(HEADER + slots * WORDS)?;
        Ok(Self { created: (Instant::now(), clock::Instant::now()), words, taken: vec![false; slots] })
    }

    /// A slot for a worker that is about to be forked; `None` when all are taken.
    pub fn take(&mut self, generation: u64) -> Option<HeartbeatSlot> {
        let index = self.taken.iter().position(|taken| !taken)?;
        self.taken[index] = true;
        let slot = HeartbeatSlot { index, created: self.created, board: self.words };
        slot.set(STATE, WorkerState::Booting as u64);
        slot.set(CONNECTIONS, 0);
        slot.set(GENERATION, generation);
        slot.set(OUTDATED, 0);
        slot.beat(clock::Instant::now());
        self.publish_used();
        Some(slot)
    }

    /// Frees the slot of a worker that has ended.
    pub fn free(&mut self, slot: HeartbeatSlot) {
        slot.set(STATE, WorkerState::Ended as u64);
        self.taken[slot.index] = false;
        self.publish_used();
    }

    fn publish_used(&self) {
        let used = self.taken.iter().rposition(|taken| *taken).map_or(0, |last| last + 1);
        self.words[USED].store(used as u64, Ordering::Relaxed);
    }
}

/// One worker's words on the scoreboard, as the master reads them.
#[derive(Clone, Copy, Debug)]
pub struct HeartbeatSlot {
    index: usize,
    created: (Instant, clock::Instant),
    board: &'static [AtomicU64],
}

impl HeartbeatSlot {
    fn word(&self, word: usize) -> &AtomicU64 {
        &self.board[HEADER + self.index * WORDS + word]
    }

    fn set(&self, word: usize, value: u64) {
        self.word(word).store(value, Ordering::Relaxed);
    }

    fn get(&self, word: usize) -> u64 {
        self.word(word).load(Ordering::Relaxed)
    }

    fn beat(&self, now: clock::Instant) {
        self.set(BEAT, now.millis_since(self.created.1));
    }

    /// When the worker was last at its loop, to the millisecond; before its first beat, when the slot was taken.
    #[must_use]
    pub fn last_beat(&self) -> Instant {
        self.created.0 + Duration::from_millis(self.get(BEAT))
    }

    /// What the worker is doing.
    #[must_use]
    pub fn state(&self) -> WorkerState {
        match self.get(STATE) {
            0 => WorkerState::Booting,
            1 => WorkerState::Ready,
            2 => WorkerState::Draining,
            _ => WorkerState::Ended,
        }
    }

    /// The number of the slot on its board, from 0. It is free for another worker when this one has ended.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether the worker has noticed that what it serves is no longer what the configuration names; true once for each
    /// report.
    #[must_use]
    pub fn take_outdated(&self) -> bool {
        self.word(OUTDATED).swap(0, Ordering::Relaxed) != 0
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

/// A worker's view of the scoreboard, for an equal share of the connections.
///
/// The workers that count are those that accept: a worker that drains does not, nor one that hangs; one that was just
/// forked does. The numbers of other workers may be some microseconds old.
#[derive(Clone, Copy, Debug)]
pub struct Shares(HeartbeatSlot);

impl Shares {
    /// Reports how many connections this worker has.
    pub fn publish(&self, connections: usize) {
        self.0.set(CONNECTIONS, connections as u64);
    }

    /// Whether there is no other worker.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.0.board[USED].load(Ordering::Relaxed) <= 1
    }

    /// The connections of each worker when `waiting` more are shared out equally, rounded up.
    #[must_use]
    pub fn fair(&self, now: clock::Instant, waiting: usize) -> usize {
        let (workers, connections) = self
            .0
            .all()
            .filter(|slot| slot.index == self.0.index || slot.accepts(now))
            .fold((0, waiting as u64), |(workers, sum), slot| (workers + 1, sum + slot.connections()));
        usize::try_from(connections.div_ceil(workers.max(1))).unwrap_or(usize::MAX)
    }
}

impl HeartbeatSlot {
    /// The slots of its board, up to the last one that is taken.
    fn all(self) -> impl Iterator<Item = Self> {
        let used = usize::try_from(self.board[USED].load(Ordering::Relaxed)).unwrap_or_default();
        (0..used).map(move |index| Self { index, ..self })
    }

    /// Whether its worker accepts connections at `now`, or will at once.
    fn accepts(&self, now: clock::Instant) -> bool {
        let since = now.millis_since(self.created.1).saturating_sub(self.get(BEAT));
        let since = Duration::from_millis(since);
        match self.state() {
            WorkerState::Booting => since <= STARTS_IN,
            WorkerState::Ready => since <= HANGS_AFTER,
            WorkerState::Draining | WorkerState::Ended => false,
        }
    }
}

/// A view of the slots of all workers, for reports about the whole server.
#[derive(Clone, Copy, Debug)]
pub struct Peers(HeartbeatSlot);

impl Peers {
    /// The slot of the worker that has this view.
    #[must_use]
    pub fn own(&self) -> HeartbeatSlot {
        self.0
    }

    /// The slots up to the last one that is taken. Some of them may be free: their state is [`WorkerState::Ended`].
    pub fn slots(&self) -> impl Iterator<Item = HeartbeatSlot> {
        self.0.all()
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

    /// Whether the worker is a process of its own, and has a master.
    #[must_use]
    pub fn has_master(&self) -> bool {
        self.report.is_some()
    }

    /// The worker's view of the connections of all workers.
    #[must_use]
    pub fn shares(&self) -> Shares {
        Shares(self.slot)
    }

    /// The worker's view of the state of all workers.
    #[must_use]
    pub fn peers(&self) -> Peers {
        Peers(self.slot)
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
        if self.slot.word(OUTDATED).swap(1, Ordering::Relaxed) == 0 {
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

    /// Reports that the worker is at its loop.
    pub fn beat(&self, now: clock::Instant) {
        self.slot.beat(now);
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
        let (later, beat) = (Instant::now(), clock::Instant::now());
        let (later, beat) = (later + Duration::from_secs(5), beat + Duration::from_secs(5));
        heartbeat.beat(beat);
        heartbeat.shares().publish(3);
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

    /// Workers that hang, drain, have ended, or do not start are left out.
    #[test]
    fn a_share_is_that_of_the_workers_that_accept() {
        let mut board = Scoreboard::new(8).expect("a board");
        let workers: Vec<Heartbeat> = (0..5)
            .map(|_| {
                let report = descriptor::pipe().expect("a pipe").1;
                Heartbeat::new(board.take(1).expect("a slot"), RESTING_BEAT, report)
            })
            .collect();
        let start = clock::Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let me = workers[0].shares();
        assert!(!me.is_alone());
        assert_eq!(me.fair(at(10), 10), 2, "all are about to start");
        assert_eq!(me.fair(at(500), 10), 10, "none of the others has started");
        for (worker, connections) in workers.iter().zip([5, 6, 7, 8, 9]) {
            worker.ready();
            worker.beat(at(1000));
            worker.shares().publish(connections);
        }
        assert_eq!((me.fair(at(1000), 0), me.fair(at(1000), 1), me.fair(at(1000), 65)), (7, 8, 20));
        workers[4].draining();
        board.free(workers[3].slot);
        assert_eq!((me.fair(at(1000), 0), me.fair(at(1000), 1)), (6, 7));
        me.publish(8);
        assert_eq!(me.fair(at(1000), 0), 7);
        workers[1].beat(at(4000));
        assert_eq!(me.fair(at(4000), 0), 7, "one hangs, and I do not");
        (1..5).for_each(|other| board.free(workers[other].slot));
        assert!(me.is_alone());
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
