//! Deadlines: which key is due, and when the next one is.
//!
//! A connection moves its deadline with every request, and rarely reaches it. So moving a deadline *later* changes nothing
//! here: the owner keeps the true deadline, the entry in the heap stays where it is, and when the entry is due the owner
//! compares and arms it again. The heap changes about once per time-out and connection instead of once per request, and
//! the next entry is found in constant time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Instant;
use crate::slab::Key;

/// The time of the heap entry that is valid for a key. The owner of the key keeps it beside the deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Armed(Option<Instant>);

/// How many stale entries are never worth a search.
const FEW: usize = 64;

/// A queue of keys, ordered by the time at which their deadlines have to be checked.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Key)>>,
    /// How many entries were left when stale ones were last removed.
    tidied: usize,
}

impl Timers {
    /// Ensures that `key` is due at `deadline` or earlier.
    pub fn arm(&mut self, key: Key, deadline: Instant, armed: &mut Armed) {
        if armed.0.is_none_or(|at| deadline < at) {
            armed.0 = Some(deadline);
            self.heap.push(Reverse((deadline, key)));
        }
    }

    /// When the next entry is due. That may be before the next true deadline, never after it.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one key that is due, with the time of its entry. The owner of the key checks the true deadline.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Key, Instant)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((at, key))| (key, at))
    }

    /// Removes the entries of stale keys once they may outnumber the `living` keys, so that a client that opens and closes
    /// connections does not leave an entry of each for the length of a time-out. The cost is amortised: there are twice as
    /// many entries as after the last removal.
    pub fn tidy(&mut self, living: usize, is_there: impl Fn(Key) -> bool) {
        if self.heap.len() > 2 * living.max(self.tidied) + FEW {
            self.heap.retain(|Reverse((_, key))| is_there(*key));
            self.tidied = self.heap.len();
        }
    }

    /// Removes the entries of stale keys, and frees memory that is not needed now.
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

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl Armed {
    /// Returns whether the entry of time `at` is the valid one, and clears it then. After a deadline has moved *earlier*,
    /// the heap still has the later entry: it is not valid.
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
        assert!(!armed.fired(at(15)), "the overtaken entry is not valid");
        assert!(timers.is_empty());
    }

    #[test]
    fn removed_keys_leave_nothing_behind() {
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
