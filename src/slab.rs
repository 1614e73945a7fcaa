//! A slab with generations: small dense indices whose keys become stale when the entry is emptied.
//!
//! An event that the kernel queued for a connection may arrive after that connection is closed and its entry is used by
//! another (epoll(7), "stale events"). The token of every registration carries the generation of the entry, so
//! [`Slab::get_mut`] returns `None` for it, and no byte reaches the wrong client.

/// Names one value in one entry of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The number of the entry: small, and used again after the key is stale.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// The key as one number, for `mio::Token`: generation in the upper half, index in the lower.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "checked for 64 bits at compile time")]
    pub fn to_bits(self) -> usize {
        const { assert!(usize::BITS == 64, "a token holds index and generation: 64 bits are needed") };
        ((u64::from(self.generation) << 32) | u64::from(self.index)) as usize
    }

    /// The inverse of [`Key::to_bits`].
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "separates the two halves")]
    pub fn from_bits(bits: usize) -> Self {
        Self { index: bits as u32, generation: (bits as u64 >> 32) as u32 }
    }
}

impl std::fmt::Display for Key {
    /// `index.generation`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

#[derive(Debug)]
enum SlabEntry<T> {
    Full { generation: u32, value: T },
    Empty { generation: u32, next_free: u32 },
}

/// The end of the list of free entries.
const END: u32 = u32::MAX;

/// Values by [`Key`]. Insertion, look-up and removal take constant time.
#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<SlabEntry<T>>,
    first_free: u32,
    len: usize,
    /// The generation of entries that are pushed: later than that of any entry that [`Slab::shrink`] has removed.
    fresh: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    /// Returns an empty slab, which allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new(), first_free: END, len: 0, fresh: 0 }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a value into a free entry and returns its key.
    ///
    /// # Panics
    /// With 2³² − 1 values; descriptors run out long before.
    pub fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        let index = self.first_free;
        if let Some(entry) = self.entries.get_mut(index as usize)
            && let SlabEntry::Empty { generation, next_free } = *entry
        {
            self.first_free = next_free;
            *entry = SlabEntry::Full { generation, value };
            return Key { index, generation };
        }
        let index = u32::try_from(self.entries.len())
            .ok()
            .filter(|index| *index != END)
            .expect("fewer than 2^32 - 1 values");
        let generation = self.fresh;
        self.entries.push(SlabEntry::Full { generation, value });
        Key { index, generation }
    }

    /// Returns the value of `key`, unless the key is stale.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.entries.get_mut(key.index as usize)? {
            SlabEntry::Full { generation, value } if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Whether `key` still names a value.
    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        matches!(self.entries.get(key.index as usize),
            Some(SlabEntry::Full { generation, .. }) if *generation == key.generation)
    }

    /// Removes the value and returns it. Every copy of its key is stale from then on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        if !self.contains(key) {
            return None;
        }
        let entry = self.entries.get_mut(key.index as usize)?;
        let empty =
            SlabEntry::Empty { generation: key.generation.wrapping_add(1), next_free: self.first_free };
        self.first_free = key.index;
        self.len -= 1;
        match std::mem::replace(entry, empty) {
            SlabEntry::Full { value, .. } => Some(value),
            SlabEntry::Empty { .. } => None,
        }
    }

    /// Frees the memory of the empty entries at the end, after many values were removed. Their generations do not start
    /// again, so old keys stay stale.
    pub fn shrink(&mut self) {
        while let Some(SlabEntry::Empty { generation, .. }) = self.entries.last() {
            self.fresh = self.fresh.max(*generation);
            self.entries.pop();
        }
        self.entries.shrink_to_fit();
        // The list of free entries is linked through the ones that were just removed.
        self.first_free = END;
        for (index, entry) in self.entries.iter_mut().enumerate().rev() {
            if let (SlabEntry::Empty { next_free, .. }, Ok(index)) = (entry, u32::try_from(index)) {
                *next_free = self.first_free;
                self.first_free = index;
            }
        }
    }

    /// The keys of all values, by index.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.iter().map(|(key, _)| key)
    }

    /// All values and their keys, by index.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> + '_ {
        self.entries.iter().zip(0u32..).filter_map(|(entry, index)| match entry {
            SlabEntry::Full { generation, value } => Some((Key { index, generation: *generation }, value)),
            SlabEntry::Empty { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_keys_stay_stale_after_a_shrink() {
        let mut slab = Slab::new();
        let keys: Vec<Key> = (0..100).map(|number| slab.insert(number)).collect();
        for (number, key) in keys.iter().enumerate().filter(|(number, _)| *number != 10 && *number != 20) {
            assert_eq!(slab.remove(*key), Some(number));
        }
        slab.shrink();
        assert_eq!((slab.entries.len(), slab.len()), (21, 2));
        let again: Vec<Key> = (0..100).map(|number| slab.insert(1000 + number)).collect();
        assert_eq!(slab.entries.len(), 102, "the free entries were used first");
        for (number, key) in keys.iter().enumerate() {
            let want = [10, 20].contains(&number).then_some(number);
            assert_eq!(slab.get_mut(*key).copied(), want, "{key}");
        }
        assert!(again.iter().all(|key| slab.contains(*key) && !keys.contains(key)));
    }

    #[test]
    fn keys_survive_the_token() {
        let key = Key { index: 7, generation: u32::MAX };
        assert_eq!(Key::from_bits(key.to_bits()), key);
        assert_eq!(key.to_string(), "7.4294967295");
    }

    /// RULES E6: a million insertions and removals in a scrambled order, no key ever returns the value of another.
    #[test]
    fn a_million_reuses_without_a_mix_up() {
        let mut slab = Slab::new();
        let mut live: Vec<(Key, u64)> = Vec::new();
        let mut dead: Vec<Key> = Vec::new();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for number in 0..1_000_000u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if live.len() < 64 || random >> 63 == 0 {
                live.push((slab.insert(number), number));
            } else {
                let (key, value) = live.swap_remove((random >> 33) as usize % live.len());
                assert_eq!(slab.remove(key), Some(value));
                dead.push(key);
            }
            if let Some(stale) = dead.get((random >> 20) as usize % (dead.len() + 1)) {
                assert_eq!(slab.get_mut(*stale), None);
                assert_eq!(slab.remove(*stale), None);
            }
        }
        assert_eq!(slab.len(), live.len());
        assert!(live.iter().all(|(key, value)| slab.get_mut(*key) == Some(&mut { *value })));
        assert_eq!(slab.keys().count(), live.len());
    }
}
