//! The counters of all workers, in memory that they share.
//!
//! A [`Board`] is made before the first fork and stays for the life of the master, over reloads and deaths of workers. Its
//! first page belongs to the master; each further page belongs to one slot of the
//! [`Scoreboard`](crate::heartbeat::Scoreboard). One worker writes a page at a time, with plain stores, so that a count costs
//! a load and a store and no locked instruction. The counters of a slot go on where the worker before has left them: they
//! never go back.
//!
//! ```text
//! page 0       start, restarts, stopping
//! page 1 + n   slot n: pid, accepts, responses, bytes, lost lines, turns by time │ connections, queues │ ring of turns │ finding
//! ```

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::Instant;
use crate::http1::Status;
use crate::server::{Activities, ResponseCounter, TurnFacts};
use crate::sys::{process, shared};

/// Slots of the board: those of the scoreboard. A page that no worker writes costs nothing.
const SLOTS: usize = 4096;

/// The words of one slot: a page of memory.
const WORDS: usize = 512;

/// The positions of the words of the first page.
const STARTED: usize = 0;
const RESTARTS: usize = 1;
const STOPPING: usize = 2;

/// The positions of the words of a slot.
const PID: usize = 0;
const ACCEPTS: usize = 1;
const RESPONSES: usize = 2;
const BYTES: usize = RESPONSES + CLASSES;
const LOST: usize = BYTES + 1;
const TURN_NANOS: usize = LOST + 1;
const TURNS: usize = TURN_NANOS + 1;
const ACTIVITIES: usize = TURNS + BOUNDS.len() + 1;
const QUEUES: usize = ACTIVITIES + 3;
const HEAD: usize = 64;
const RING: usize = HEAD + 8;

/// The classes of status codes: 1xx to 5xx.
pub(super) const CLASSES: usize = 5;

/// How many listeners of a worker are watched at most.
pub(super) const MOST_QUEUES: usize = 8;

/// How many of its last turns a worker shows.
pub(super) const RING_LENGTH: usize = 128;

/// The words of one turn in the ring.
const TURN_WORDS: usize = 3;

/// The upper bounds of the classes of turns, in nanoseconds; the last class has none.
pub(super) const BOUNDS: [u64; 16] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Where the last finding of a doctor begins.
pub(super) const TOLD: usize = RING + RING_LENGTH * TURN_WORDS;

const _: () = assert!(QUEUES + MOST_QUEUES <= HEAD && TOLD + 50 <= WORDS);

/// What a server has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServedTotals {
    /// Responses by the class of their status, 1xx to 5xx.
    pub responses: [u64; 5],
    /// Bytes of bodies.
    pub bytes: u64,
}

/// The counters of all workers.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// When the board was made.
    epoch: Instant,
    words: &'static [AtomicU64],
}

impl Board {
    /// A board of zeros. Make it once, before the first fork.
    ///
    /// # Errors
    /// As mmap(2): no memory.
    pub fn new() -> io::Result<Self> {
        let words = shared::words((1 + SLOTS) * WORDS)?;
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        words[STARTED].store(started.as_secs(), Ordering::Relaxed);
        Ok(Self { epoch: Instant::now(), words })
    }

    /// Counts a worker that has died and is replaced.
    pub fn count_restart(&self) {
        bump(&self.words[RESTARTS], 1);
    }

    /// Notes that the whole server stops: its workers drain, and no others take their place.
    pub fn set_stopping(&self) {
        self.words[STOPPING].store(1, Ordering::Relaxed);
    }

    /// Whether the whole server stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.words[STOPPING].load(Ordering::Relaxed) != 0
    }

    /// How many workers have died and were replaced.
    pub(super) fn restarts(&self) -> u64 {
        self.words[RESTARTS].load(Ordering::Relaxed)
    }

    /// When the server started, in seconds since 1970.
    pub(super) fn started(&self) -> u64 {
        self.words[STARTED].load(Ordering::Relaxed)
    }

    /// The time since the server started.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// A counter of the responses of the worker with this slot, for [`Board::totals`]. Call it in the worker's process.
    /// `None` for a slot beyond the board.
    #[must_use]
    pub fn counter(&self, index: usize) -> Option<Box<dyn ResponseCounter>> {
        let slot = self.slot(index)?;
        slot.begin(u64::from(process::current().number().unsigned_abs()));
        Some(Box::new(slot))
    }

    /// What all workers have sent so far, those that have ended among them. Slots are taken in their order, so that the
    /// first one without a worker is the end of them.
    #[must_use]
    pub fn totals(&self) -> ServedTotals {
        let mut totals = ServedTotals::default();
        for slot in self.slots(SLOTS).take_while(|slot| slot.pid() != 0) {
            totals.responses.iter_mut().zip(slot.responses()).for_each(|(sum, count)| *sum += count);
            totals.bytes += slot.bytes();
        }
        totals
    }

    /// The page of a slot; `None` for a slot beyond the board.
    pub(super) fn slot(&self, index: usize) -> Option<Slot> {
        let page = self.words.chunks_exact(WORDS).nth(1 + index)?;
        Some(Slot { epoch: self.epoch, page })
    }

    /// The pages of the first `count` slots.
    pub(super) fn slots(&self, count: usize) -> impl Iterator<Item = Slot> {
        let epoch = self.epoch;
        self.words.chunks_exact(WORDS).skip(1).take(count).map(move |page| Slot { epoch, page })
    }
}

/// One writer at a time: a load and a store.
fn bump(word: &AtomicU64, by: u64) {
    word.store(word.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

fn micros(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000 + u64::from(duration.subsec_micros())
}

fn nanos(duration: Duration) -> u64 {
    duration.as_secs() * 1_000_000_000 + u64::from(duration.subsec_nanos())
}

/// A turn of a worker's loop, in microseconds since the server started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecentTurn {
    pub(super) begun: u64,
    pub(super) waited: u64,
    pub(super) worked: u64,
    pub(super) events: u64,
}

/// The page of one worker. The worker writes it through [`ResponseCounter`] and the methods that take note; every worker reads it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    epoch: Instant,
    pub(super) page: &'static [AtomicU64],
}

impl Slot {
    fn get(&self, word: usize) -> u64 {
        self.page[word].load(Ordering::Relaxed)
    }

    fn several<const COUNT: usize>(&self, from: usize) -> [u64; COUNT] {
        std::array::from_fn(|index| self.get(from + index))
    }

    /// Begins the report of a worker with this process id.
    pub(super) fn begin(&self, pid: u64) {
        self.page[PID].store(pid, Ordering::Relaxed);
        self.page[TOLD].store(0, Ordering::Relaxed);
        self.publish(Activities::default(), &[]);
    }

    pub(super) fn note_accept(&self) {
        bump(&self.page[ACCEPTS], 1);
    }

    /// Counts a turn, and shows it in the ring.
    pub(super) fn note_turn(&self, turn: &TurnFacts) {
        let worked = nanos(turn.worked);
        let class = BOUNDS.iter().position(|bound| worked <= *bound).unwrap_or(BOUNDS.len());
        bump(&self.page[TURNS + class], 1);
        bump(&self.page[TURN_NANOS], worked);
        let head = self.get(HEAD);
        let at = RING + slot_of(head) * TURN_WORDS;
        let times =
            micros(turn.waited).min(u64::from(u32::MAX)) << 32 | micros(turn.worked).min(u64::from(u32::MAX));
        let begun = micros(turn.begun.saturating_duration_since(self.epoch));
        for (word, value) in [begun, times, turn.events as u64].into_iter().enumerate() {
            self.page[at + word].store(value, Ordering::Relaxed);
        }
        // A reader that sees the new head sees the turn.
        self.page[HEAD].store(head + 1, Ordering::Release);
    }

    /// Publishes what the worker's connections do, and how long its queues are.
    pub(super) fn publish(&self, activities: Activities, queues: &[u64]) {
        let Activities { busy, idle, lingering } = activities;
        for (word, value) in [busy, idle, lingering].iter().chain(queues.iter().take(MOST_QUEUES)).enumerate()
        {
            self.page[ACTIVITIES + word].store(*value, Ordering::Relaxed);
        }
    }

    pub(super) fn pid(&self) -> u64 {
        self.get(PID)
    }

    pub(super) fn accepts(&self) -> u64 {
        self.get(ACCEPTS)
    }

    /// Responses by the class of their status.
    pub(super) fn responses(&self) -> [u64; CLASSES] {
        self.several(RESPONSES)
    }

    /// Bytes of bodies that were sent.
    pub(super) fn bytes(&self) -> u64 {
        self.get(BYTES)
    }

    /// Lines of the access log that were lost.
    pub(super) fn lost(&self) -> u64 {
        self.get(LOST)
    }

    /// Turns by the class of their time.
    pub(super) fn turns(&self) -> [u64; BOUNDS.len() + 1] {
        self.several(TURNS)
    }

    /// The time of all turns, in nanoseconds.
    pub(super) fn turn_nanos(&self) -> u64 {
        self.get(TURN_NANOS)
    }

    pub(super) fn activities(&self) -> Activities {
        let [busy, idle, lingering] = self.several(ACTIVITIES);
        Activities { busy, idle, lingering }
    }

    pub(super) fn queues(&self) -> [u64; MOST_QUEUES] {
        self.several(QUEUES)
    }

    /// The number of turns so far, and the last ones, those after the first `seen`.
    pub(super) fn recent(&self, seen: u64) -> (u64, Vec<RecentTurn>) {
        let head = self.page[HEAD].load(Ordering::Acquire);
        let first = seen.max(head.saturating_sub(RING_LENGTH as u64));
        let read = |turn: u64| {
            let at = RING + slot_of(turn) * TURN_WORDS;
            let [begun, times, events] = self.several(at);
            (turn, RecentTurn { begun, waited: times >> 32, worked: times & u64::from(u32::MAX), events })
        };
        let mut turns: Vec<_> = (first..head).map(read).collect();
        // The worker goes on meanwhile: what it has written over, or is writing now, is not what it was.
        let oldest = (self.page[HEAD].load(Ordering::Acquire) + 1).saturating_sub(RING_LENGTH as u64);
        turns.retain(|(turn, _)| *turn >= oldest);
        (head, turns.into_iter().map(|(_, turn)| turn).collect())
    }
}

fn slot_of(turn: u64) -> usize {
    usize::try_from(turn % RING_LENGTH as u64).unwrap_or_default()
}

impl ResponseCounter for Slot {
    fn response(&mut self, status: Status, bytes: u64) {
        let class = usize::from(status.code() / 100).clamp(1, CLASSES) - 1;
        bump(&self.page[RESPONSES + class], 1);
        bump(&self.page[BYTES], bytes);
    }

    fn lost_lines(&mut self, lines: u64) {
        bump(&self.page[LOST], lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(begun: Instant, worked: u64, events: usize) -> TurnFacts {
        let worked = Duration::from_micros(worked);
        TurnFacts { begun, waited: Duration::from_micros(5), worked, events }
    }

    #[test]
    fn counters_of_a_slot_go_on_with_the_next_worker() {
        let board = Board::new().expect("memory");
        let mut slot = board.slot(3).expect("a slot");
        slot.begin(77);
        slot.note_accept();
        for code in [200, 206, 304, 404, 499, 500, 999] {
            slot.response(Status::of_application(code), 10);
        }
        slot.lost_lines(2);
        let busy = Activities { busy: 1, idle: 2, lingering: 3 };
        slot.publish(busy, &[4, 5]);
        let again = board.slot(3).expect("a slot");
        assert_eq!((again.pid(), again.accepts(), again.bytes(), again.lost()), (77, 1, 70, 2));
        assert_eq!((again.responses(), again.activities()), ([0, 2, 1, 2, 2], busy));
        assert_eq!(again.queues()[..3], [4, 5, 0]);
        again.begin(78);
        assert_eq!((slot.pid(), slot.accepts(), slot.activities()), (78, 1, Activities::default()));
        assert!(board.slot(SLOTS).is_none() && board.slots(5).count() == 5);
        board.count_restart();
        board.set_stopping();
        assert_eq!((board.restarts(), board.is_stopping()), (1, true));
    }

    #[test]
    fn the_sum_has_every_slot_that_was_used() {
        let board = Board::new().expect("memory");
        assert_eq!(board.totals(), ServedTotals::default());
        for index in 0..3 {
            let mut counter = board.counter(index).expect("a counter");
            counter.response(Status::OK, 100);
            counter.response(Status::NOT_FOUND, 5);
        }
        assert_eq!(board.totals(), ServedTotals { responses: [0, 3, 0, 3, 0], bytes: 315 });
        assert!(board.counter(SLOTS).is_none());
    }

    #[test]
    fn turns_are_counted_by_their_time_and_the_last_ones_are_kept() {
        let board = Board::new().expect("memory");
        let slot = board.slot(0).expect("a slot");
        assert_eq!(slot.recent(0), (0, Vec::new()));
        for (number, worked) in [100, 101, 20_000_000].into_iter().enumerate() {
            slot.note_turn(&turn(board.epoch + Duration::from_micros(7), worked, number));
        }
        let turns = slot.turns();
        assert_eq!((turns[0], turns[1], turns[BOUNDS.len()], slot.turn_nanos()), (1, 1, 1, 20_000_201_000));
        let (head, recent) = slot.recent(1);
        assert_eq!((head, recent.len()), (3, 2));
        assert_eq!(recent[0], RecentTurn { begun: 7, waited: 5, worked: 101, events: 1 });
        (0..1000).for_each(|_| slot.note_turn(&turn(board.epoch, 1, 9)));
        let (head, recent) = slot.recent(0);
        assert_eq!((head, recent.len()), (1003, RING_LENGTH - 1), "the oldest may be written at this moment");
        assert!(recent.iter().all(|turn| turn.events == 9));
    }
}
