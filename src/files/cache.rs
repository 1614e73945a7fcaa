//! A cache of opened files, by the path in the request target.
//!
//! Decoding a path, opening a file and reading it cost more system calls and instructions than all the rest of a response.
//! Each use of an entry is preceded by one call, which shows whether its path still leads to the same file, unchanged; so
//! the cache never shows. An entry that is not used for a moment (`--file-cache`, one second by default) is closed.
//!
//! Only files that were found are cached. A missing one costs one system call, and a client that requests a million
//! missing paths must not evict the entries of others.
//!
//! The cache is bounded in entries and in bytes. A full cache evicts the first entry that was not used since the hand
//! of the clock last passed it (the CLOCK algorithm).

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use foldhash::quality::RandomState;

use crate::clock::Instant;

/// The longest cached path: longer ones would be most of what the cache holds.
const MAX_KEY: usize = 512;

/// The size of a cache, and how long an entry stays without use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) entries: usize,
    pub(super) bytes: usize,
    pub(super) rest: Duration,
}

#[derive(Debug)]
struct CacheEntry<V> {
    key: Rc<[u8]>,
    value: V,
    bytes: usize,
    last_use: Instant,
    /// Used since the hand passed.
    used: bool,
}

/// Values by path.
#[derive(Debug)]
pub(super) struct Cache<V> {
    bounds: Bounds,
    index: HashMap<Rc<[u8]>, usize, RandomState>,
    entries: Vec<CacheEntry<V>>,
    hand: usize,
    bytes: usize,
}

impl<V: Clone> Cache<V> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, index: HashMap::default(), entries: Vec::new(), hand: 0, bytes: 0 }
    }

    fn entry(&mut self, key: &[u8]) -> Option<&mut CacheEntry<V>> {
        self.index.get(key).and_then(|at| self.entries.get_mut(*at))
    }

    pub(super) fn get(&mut self, key: &[u8], now: Instant) -> Option<V> {
        let entry = self.entry(key)?;
        (entry.used, entry.last_use) = (true, now);
        Some(entry.value.clone())
    }

    /// Inserts or replaces the value of `key`. The value uses `bytes` of memory.
    pub(super) fn insert(&mut self, key: &[u8], value: V, bytes: usize, now: Instant) {
        self.remove(key);
        let bytes = bytes + 2 * key.len();
        let Bounds { entries: max_entries, bytes: max_bytes, rest } = self.bounds;
        if max_entries == 0 || bytes > max_bytes || key.len() > MAX_KEY || rest.is_zero() {
            return;
        }
        while self.entries.len() >= max_entries || self.bytes + bytes > max_bytes {
            self.evict();
        }
        let key: Rc<[u8]> = key.into();
        self.index.insert(Rc::clone(&key), self.entries.len());
        self.entries.push(CacheEntry { key, value, bytes, last_use: now, used: false });
        self.bytes += bytes;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes entries that were not used for the time that they may rest, and those that are no longer `current`.
    pub(super) fn sweep(&mut self, now: Instant, current: impl Fn(&V) -> bool) {
        for at in (0..self.entries.len()).rev() {
            let CacheEntry { last_use, value, .. } = &self.entries[at];
            if now.saturating_duration_since(*last_use) >= self.bounds.rest || !current(value) {
                self.remove_at(at);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        if let Some(at) = self.index.get(key) {
            self.remove_at(*at);
        }
    }

    /// Removes the first unused entry from the hand on; there is one in the second round at the latest.
    fn evict(&mut self) {
        loop {
            self.hand = if self.hand < self.entries.len() { self.hand } else { 0 };
            match self.entries.get_mut(self.hand) {
                Some(entry) if entry.used => {
                    entry.used = false;
                    self.hand += 1;
                }
                _ => return self.remove_at(self.hand),
            }
        }
    }

    fn remove_at(&mut self, at: usize) {
        if at >= self.entries.len() {
            return;
        }
        let entry = self.entries.swap_remove(at);
        self.index.remove(&entry.key);
        self.bytes -= entry.bytes;
        // The last entry has moved here.
        if let Some(moved) = self.entries.get(at) {
            self.index.insert(Rc::clone(&moved.key), at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn cache(entries: usize, bytes: usize) -> Cache<u32> {
        Cache::new(Bounds { entries, bytes, rest: SECOND })
    }

    #[test]
    fn an_entry_rests_for_a_while() {
        let (mut cache, now) = (cache(4, 1000), Instant::now());
        assert_eq!(cache.get(b"/a", now), None);
        cache.insert(b"/a", 1, 10, now);
        cache.insert(b"/b", 2, 10, now);
        cache.insert(b"/c", 3, 10, now);
        assert_eq!(cache.get(b"/a", now + SECOND / 2), Some(1));
        cache.insert(b"/b", 4, 10, now + SECOND / 2);
        cache.sweep(now + SECOND, |value| *value != 4);
        assert_eq!(["/a", "/b", "/c"].map(|key| cache.get(key.as_bytes(), now)), [Some(1), None, None]);
        cache.remove(b"/a");
        assert!(cache.get(b"/a", now).is_none() && cache.is_empty());
    }

    #[test]
    fn a_used_entry_stays() {
        let (mut cache, now) = (cache(4, 1_000_000), Instant::now());
        cache.insert(b"/hot", 0, 10, now);
        for number in 1..1000_u32 {
            assert_eq!(cache.get(b"/hot", now), Some(0), "before {number}");
            cache.insert(format!("/{number}").as_bytes(), number, 10, now);
            assert!(cache.entries.len() <= 4 && cache.index.len() == cache.entries.len());
        }
    }

    #[test]
    fn bytes_are_bounded_and_counted() {
        let (mut cache, now) = (cache(1000, 100), Instant::now());
        cache.insert(b"/too large", 0, 101, now);
        assert_eq!(cache.get(b"/too large", now), None);
        for number in 0..100_u32 {
            cache.insert(format!("/{}", number % 7).as_bytes(), number, 16, now);
            assert!(cache.bytes <= 100);
            let sum: usize = cache.entries.iter().map(|entry| entry.bytes).sum();
            assert_eq!(sum, cache.bytes);
        }
        assert!(!cache.entries.is_empty());
        let long = vec![b'x'; MAX_KEY + 1];
        cache.insert(&long, 0, 0, now);
        assert_eq!(cache.get(&long, now), None);
    }

    #[test]
    fn without_rest_nothing_is_cached() {
        let mut cache = Cache::new(Bounds { entries: 4, bytes: 1000, rest: Duration::ZERO });
        cache.insert(b"/a", 1, 10, Instant::now());
        assert_eq!(cache.get(b"/a", Instant::now()), None);
    }
}
