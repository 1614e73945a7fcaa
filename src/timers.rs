//! Deadlines: which key is due, and when the next one is.
//!
//! A connection moves its deadline with every request, but hardly ever reaches it. So a deadline that moves
//! *later* touches nothing here: the owner keeps the true deadline, the entry in the heap stays where it is,
//! and when it comes up the owner looks again and arms it anew. The heap is touched about once per time-out
//! and connection instead of once per request, and the next entry is found in constant time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Instant;
use crate::slab::Key;

/// When a key will be looked at next. The owner keeps one beside each deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Armed(Option<Instant>);

/// So many entries of keys that are gone are not worth looking for.
const FEW: usize = 64;

/// A queue of keys by the time at which they have to be looked at.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Key)>>,
    /// How many entries there were when those of keys that are gone were last forgotten.
    tidied: usize,
}

impl Timers {
    /// Makes sure that `key` comes up no later than `deadline`.
    pub fn arm(&mut self, key: Key, deadline: Instant, armed: &mut Armed) {
        if armed.0.is_none_or(|at| deadline < at) {
            armed.0 = Some(deadline);
            self.heap.push(Reverse((deadline, key)));
        }
    }

    /// When the next entry comes up. It may turn out to be early, never late.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one key whose time has come, with that time. The owner of the key checks its true deadline.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Key, Instant)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((at, key))| (key, at))
    }

    /// Forgets the keys that are gone, when they may be more than the `living` ones: who opens and closes connections
    /// does not leave an entry of each behind for as long as a time-out takes. It is worth its time: there are twice
    /// as many entries as after the last one.
    pub fn tidy(&mut self, living: usize, is_there: impl Fn(Key) -> bool) {
        if self.heap.len() > 2 * living.max(self.tidied) + FEW {
            self.heap.retain(|Reverse((_, key))| is_there(*key));
            self.tidied = self.heap.len();
        }
    }

    /// Forgets the keys that are gone, and gives memory back that is not needed just now.
    pub fn shrink(&mut self, is_there: impl Fn(Key) -> bool) {
        self.heap.retain(|Reverse((_, key))| is_there(*key));
        self.heap.shrink_to_fit();
        self.tidied = self.heap.len();
    }

    /// How many entries there are, stale ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl Armed {
    /// Forgets the entry that came up at `at`, if it is the one this key waits for. An entry that was
    /// overtaken by an earlier one is left behind in the heap and answers `false` here.
    pub fn fired(&mut self, at: Instant) -> bool {
        let ours = self.0 == Some(at);
        if ours {
            self.0 = None;
        }
        ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;
    use std::time::Duration;

    #[test]
    fn later_deadlines_cost_nothing_and_earlier_ones_overtake() {
        let mut slab = Slab::new();
        let key = slab.insert(());
        let mut timers = Timers::default();
        let mut armed = Armed::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);

        timers.arm(key, at(15), &mut armed);
        for moved in 16..1000 {
            timers.arm(key, at(moved), &mut armed);
        }
        assert_eq!(timers.len(), 1, "a deadline that moves later pushes nothing");

        timers.arm(key, at(10), &mut armed);
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(20)), Some((key, at(10))));
        assert!(armed.fired(at(10)));
        assert_eq!(timers.pop_due(at(20)), Some((key, at(15))));
        assert!(!armed.fired(at(15)), "the overtaken entry means nothing");
        assert!(timers.is_empty());
    }

    #[test]
    fn whoever_comes_and_goes_leaves_nothing_behind() {
        let mut slab = Slab::new();
        let mut timers = Timers::default();
        let start = Instant::now();
        let stays = slab.insert(());
        timers.arm(stays, start, &mut Armed::default());
        for _ in 0..10_000 {
            let key = slab.insert(());
            timers.arm(key, start + Duration::from_secs(75), &mut Armed::default());
            slab.remove(key);
            timers.tidy(slab.len(), |key| slab.contains(key));
            assert!(timers.len() <= FEW + 4, "{} entries", timers.len());
        }
        assert_eq!(timers.pop_due(start), Some((stays, start)));
    }
}
