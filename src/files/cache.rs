//! What was found lately, by the path as it was asked for.
//!
//! Decoding a path, opening a file and asking what it is cost four system calls and more instructions than
//! all the rest of an answer. So the outcome is kept, and believed for a moment (`--file-cache`, one second
//! unless told otherwise); then the file is opened anew, and if it is the same one the rest is kept.
//!
//! Only what was found is kept. A path that leads nowhere costs one system call, and a client that asks for
//! a million of them must not push out what others ask for.
//!
//! The cache is bounded twice, in entries and in bytes. When it is full the entry goes that has not been
//! asked for since the hand of the clock last passed it.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use foldhash::quality::RandomState;

use crate::clock::Instant;

/// Longer paths are not kept: they would be most of what the cache holds.
const MAX_KEY: usize = 512;

/// How much a cache holds, and for how long it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) entries: usize,
    pub(super) bytes: usize,
    pub(super) validity: Duration,
}

#[derive(Debug)]
struct Slot<V> {
    key: Rc<[u8]>,
    value: V,
    bytes: usize,
    /// When it was last known to be true.
    checked: Instant,
    /// Asked for since the hand passed.
    used: bool,
}

/// What a look-up finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookup<V> {
    /// To be believed.
    Fresh(V),
    /// To be compared with what is there now.
    Stale(V),
    /// Nothing.
    Nothing,
}

/// Values by path.
#[derive(Debug)]
pub(super) struct Cache<V> {
    bounds: Bounds,
    index: HashMap<Rc<[u8]>, usize, RandomState>,
    slots: Vec<Slot<V>>,
    hand: usize,
    bytes: usize,
}

impl<V: Clone> Cache<V> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, index: HashMap::default(), slots: Vec::new(), hand: 0, bytes: 0 }
    }

    /// What is known of `key`.
    pub(super) fn get(&mut self, key: &[u8], now: Instant) -> Lookup<V> {
        let Some(slot) = self.index.get(key).and_then(|at| self.slots.get_mut(*at)) else {
            return Lookup::Nothing;
        };
        slot.used = true;
        if now.saturating_duration_since(slot.checked) < self.bounds.validity {
            Lookup::Fresh(slot.value.clone())
        } else {
            Lookup::Stale(slot.value.clone())
        }
    }

    /// Keeps `value`, which holds so many `bytes`, in place of what was known of `key`.
    pub(super) fn insert(&mut self, key: &[u8], value: V, bytes: usize, now: Instant) {
        self.remove(key);
        let bytes = bytes + 2 * key.len();
        let Bounds { entries, bytes: most, validity } = self.bounds;
        if entries == 0 || bytes > most || key.len() > MAX_KEY || validity.is_zero() {
            return;
        }
        while self.slots.len() >= entries || self.bytes + bytes > most {
            self.evict();
        }
        let key: Rc<[u8]> = key.into();
        self.index.insert(Rc::clone(&key), self.slots.len());
        self.slots.push(Slot { key, value, bytes, checked: now, used: false });
        self.bytes += bytes;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Forgets what nobody has asked for since twice its validity.
    pub(super) fn sweep(&mut self, now: Instant) {
        let validity = self.bounds.validity;
        let old = |slot: &Slot<V>| now.saturating_duration_since(slot.checked) >= 2 * validity;
        let mut at = self.slots.len();
        while let Some(below) = at.checked_sub(1) {
            at = below;
            if old(&self.slots[at]) {
                self.remove_at(at);
            }
        }
    }

    /// What is known of `key` is still true.
    pub(super) fn confirm(&mut self, key: &[u8], now: Instant) {
        if let Some(slot) = self.index.get(key).and_then(|at| self.slots.get_mut(*at)) {
            slot.checked = now;
        }
    }

    /// What is known of `key` is no longer true.
    pub(super) fn remove(&mut self, key: &[u8]) {
        if let Some(at) = self.index.get(key) {
            self.remove_at(*at);
        }
    }

    /// Takes out the first entry that the hand finds unused; in its second turn it finds one for certain.
    fn evict(&mut self) {
        loop {
            self.hand = if self.hand < self.slots.len() { self.hand } else { 0 };
            match self.slots.get_mut(self.hand) {
                Some(slot) if slot.used => {
                    slot.used = false;
                    self.hand += 1;
                }
                _ => return self.remove_at(self.hand),
            }
        }
    }

    fn remove_at(&mut self, at: usize) {
        if at >= self.slots.len() {
            return;
        }
        let slot = self.slots.swap_remove(at);
        self.index.remove(&slot.key);
        self.bytes -= slot.bytes;
        if let Some(moved) = self.slots.get(at) {
            self.index.insert(Rc::clone(&moved.key), at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn cache(entries: usize, bytes: usize) -> Cache<u32> {
        Cache::new(Bounds { entries, bytes, validity: SECOND })
    }

    #[test]
    fn a_value_is_believed_for_a_while() {
        let (mut cache, now) = (cache(4, 1000), Instant::now());
        assert_eq!(cache.get(b"/a", now), Lookup::Nothing);
        cache.insert(b"/a", 1, 10, now);
        assert_eq!(cache.get(b"/a", now + SECOND / 2), Lookup::Fresh(1));
        assert_eq!(cache.get(b"/a", now + SECOND), Lookup::Stale(1));
        cache.confirm(b"/a", now + SECOND);
        assert_eq!(cache.get(b"/a", now + SECOND), Lookup::Fresh(1));
        cache.insert(b"/a", 2, 10, now + SECOND);
        assert_eq!(cache.get(b"/a", now + SECOND), Lookup::Fresh(2));
        cache.remove(b"/a");
        assert_eq!(cache.get(b"/a", now), Lookup::Nothing);
    }

    #[test]
    fn what_is_asked_for_stays() {
        let (mut cache, now) = (cache(4, 1_000_000), Instant::now());
        cache.insert(b"/hot", 0, 10, now);
        for number in 1..1000_u32 {
            assert_eq!(cache.get(b"/hot", now), Lookup::Fresh(0), "before {number}");
            cache.insert(format!("/{number}").as_bytes(), number, 10, now);
            assert!(cache.slots.len() <= 4 && cache.index.len() == cache.slots.len());
        }
    }

    #[test]
    fn bytes_are_bounded_and_counted() {
        let (mut cache, now) = (cache(1000, 100), Instant::now());
        cache.insert(b"/too large", 0, 101, now);
        assert_eq!(cache.get(b"/too large", now), Lookup::Nothing);
        for number in 0..100_u32 {
            cache.insert(format!("/{}", number % 7).as_bytes(), number, 16, now);
            assert!(cache.bytes <= 100);
            let sum: usize = cache.slots.iter().map(|slot| slot.bytes).sum();
            assert_eq!(sum, cache.bytes);
        }
        assert!(!cache.slots.is_empty());
        let long = vec![b'x'; MAX_KEY + 1];
        cache.insert(&long, 0, 0, now);
        assert_eq!(cache.get(&long, now), Lookup::Nothing);
    }

    #[test]
    fn without_validity_nothing_is_kept() {
        let mut cache = Cache::new(Bounds { entries: 4, bytes: 1000, validity: Duration::ZERO });
        cache.insert(b"/a", 1, 10, Instant::now());
        assert_eq!(cache.get(b"/a", Instant::now()), Lookup::Nothing);
    }
}
