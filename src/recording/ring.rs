//! The last records of a loop, in memory that is allocated once, and what is known of each open channel.

use std::net::SocketAddr;

use super::names::Names;
use super::record::{Kind, NO_KEY, Record, TASK_BIT};
use crate::clock::{Instant, Now};

/// How many records are kept: 1 MiB, the last 2,000 turns or so.
pub(super) const CAPACITY: usize = 32 * 1024;

/// Sums over the whole run, also over records that are no longer there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) turns: u64,
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) responses: u64,
}

/// What is known of a channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) key: u64,
    pub(super) name: u16,
    pub(super) state: u16,
    pub(super) descriptor: u32,
    pub(super) parent: u64,
    pub(super) peer: Option<SocketAddr>,
    /// A closed channel is kept until its place is taken: a line about its last turn has its name.
    pub(super) is_closed: bool,
}

/// Records, names and channels. All methods are O(1), and only the table of channels grows.
#[derive(Debug)]
pub(super) struct Ring {
    records: Vec<Record>,
    /// The number of all records so far.
    pub(super) pushed: u64,
    /// Time 0, on both clocks: readers compare times with those of other programs.
    pub(super) began: Now,
    /// The last reading of the clock, in nanoseconds since the beginning.
    pub(super) now: u64,
    pub(super) names: Names,
    /// By the index of the key.
    pub(super) channels: Vec<Option<Known>>,
    pub(super) totals: Totals,
}

impl Ring {
    pub(super) fn new() -> Self {
        let records = Vec::with_capacity(CAPACITY);
        Self {
            records,
            pushed: 0,
            began: Now::ask(),
            now: 0,
            names: Names::new(),
            channels: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// Reads the clock: later records have this time.
    pub(super) fn read_clock(&mut self) {
        self.set_clock(Instant::now());
    }

    /// As [`Ring::read_clock`], for a time that has been read already.
    pub(super) fn set_clock(&mut self, now: Instant) {
        let nanos = now.saturating_duration_since(self.began.monotonic).as_nanos();
        self.now = u64::try_from(nanos).unwrap_or(u64::MAX).max(self.now);
    }

    pub(super) fn push(&mut self, mut record: Record) {
        record.time = self.now;
        if self.records.len() < CAPACITY {
            self.records.push(record);
        } else {
            // A remainder by a power of two is a mask.
            let at = usize::try_from(self.pushed % CAPACITY as u64).unwrap_or_default();
            self.records[at] = record;
        }
        self.pushed += 1;
    }

    /// The number of the oldest record that is still there.
    pub(super) fn oldest(&self) -> u64 {
        self.pushed.saturating_sub(CAPACITY as u64)
    }

    /// The records from this number on, oldest first.
    pub(super) fn since(&self, number: u64) -> impl Iterator<Item = &Record> {
        let numbers = number.max(self.oldest())..self.pushed;
        numbers.filter_map(|number| self.records.get(usize::try_from(number % CAPACITY as u64).ok()?))
    }

    /// The records from this number on, oldest first: the second piece is empty unless the ring begins again in them.
    pub(super) fn slices(&self, number: u64) -> (&[Record], &[Record]) {
        let at = |number: u64| usize::try_from(number % CAPACITY as u64).unwrap_or_default();
        let number = number.max(self.oldest());
        let (from, to) = (at(number), at(self.pushed));
        if number == self.pushed {
            (&[], &[])
        } else if from < to {
            (&self.records[from..to], &[])
        } else {
            (&self.records[from..], &self.records[..to])
        }
    }

    /// All records that make whole turns: from the first wait on, unless nothing is lost yet.
    pub(super) fn whole(&self) -> impl Iterator<Item = &Record> {
        let is_whole = self.oldest() == 0;
        self.since(0).skip_while(move |record| !is_whole && record.kind != Kind::Wait)
    }

    /// Enters a channel into the table.
    pub(super) fn enter(&mut self, known: Known) {
        let at = index(known.key);
        if at >= self.channels.len() {
            self.channels.resize(at + 1, None);
        }
        self.channels[at] = Some(known);
    }

    /// What is known of a channel, which may have closed.
    pub(super) fn known(&self, key: u64) -> Option<&Known> {
        self.channels.get(index(key))?.as_ref().filter(|known| known.key == key)
    }

    /// As [`Ring::known`], to change it.
    pub(super) fn known_mut(&mut self, key: u64) -> Option<&mut Known> {
        self.channels.get_mut(index(key))?.as_mut().filter(|known| known.key == key)
    }
}

/// The place of a key in the table: channels and tasks take turns. The index is the lower half of a key.
fn index(key: u64) -> usize {
    let place = (key & u64::from(u32::MAX)) * 2 + key / TASK_BIT;
    if key == NO_KEY { usize::MAX } else { usize::try_from(place).unwrap_or(usize::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_last_turns_whole() {
        let mut ring = Ring::new();
        let turns = CAPACITY / 3 + 10;
        for turn in 0..turns {
            for kind in [Kind::Wait, Kind::Turn, Kind::Mark] {
                ring.push(Record { b: turn as u64, ..Record::new(kind) });
            }
        }
        assert_eq!(ring.pushed, 3 * turns as u64);
        let kept: Vec<&Record> = ring.whole().collect();
        assert_eq!(kept[0].kind, Kind::Wait);
        assert!(kept.len() > CAPACITY - 3 && kept.len() <= CAPACITY);
        assert!(kept.windows(2).all(|pair| pair[1].b == pair[0].b || pair[1].b == pair[0].b + 1));
        assert_eq!(kept.last().map(|record| record.b), Some(turns as u64 - 1));
        assert_eq!(ring.since(ring.pushed - 2).count(), 2);
        for number in [0, ring.oldest() + 5, ring.pushed - 40, ring.pushed - 1, ring.pushed] {
            let (first, rest) = ring.slices(number);
            assert!(first.iter().chain(rest).eq(ring.since(number)), "{number}");
        }
    }

    #[test]
    fn a_key_that_is_used_again_is_another_channel() {
        let mut ring = Ring::new();
        let known =
            Known { key: 5, name: 1, state: 0, descriptor: 9, parent: NO_KEY, peer: None, is_closed: false };
        ring.enter(known);
        let again = Known { key: 1 << 32 | 5, ..known };
        ring.enter(again);
        assert!(ring.known(5).is_none() && ring.known(again.key).is_some() && ring.known(NO_KEY).is_none());
    }
}
