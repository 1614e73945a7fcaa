//! A slab with generations: small dense indices whose keys go stale when the slot is emptied.
//!
//! An event that the kernel queued for a connection may arrive after that connection is closed and its slot
//! taken by another (epoll(7), "stale events"). The token of every registration carries the slot's
//! generation, so [`Slab::get_mut`] answers `None` for it, and no byte reaches the wrong client.

/// Names one occupancy of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The key as one number, for `mio::Token`: generation in the upper half, index in the lower.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "checked for 64 bits at compile time")]
    pub fn to_bits(self) -> usize {
        const { assert!(usize::BITS == 64, "a token holds index and generation: 64 bits are needed") };
        ((u64::from(self.generation) << 32) | u64::from(self.index)) as usize
    }

    /// The key that [`Key::to_bits`] was made of.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "takes the two halves apart")]
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
enum Slot<T> {
    Full { generation: u32, value: T },
    Empty { generation: u32, next_free: u32 },
}

/// No next free slot.
const END: u32 = u32::MAX;

/// Values by [`Key`]; insertion, look-up and removal in constant time.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    first_free: u32,
    len: usize,
    /// The generation of slots that are made anew: later than that of any slot that was given back.
    fresh: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    /// An empty slab; it allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: Vec::new(), first_free: END, len: 0, fresh: 0 }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a value into a free slot and names it.
    ///
    /// # Panics
    /// With 2³² − 1 values; descriptors run out long before.
    pub fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        let index = self.first_free;
        if let Some(slot) = self.slots.get_mut(index as usize)
            && let Slot::Empty { generation, next_free } = *slot
        {
            self.first_free = next_free;
            *slot = Slot::Full { generation, value };
            return Key { index, generation };
        }
        let index = u32::try_from(self.slots.len())
            .ok()
            .filter(|index| *index != END)
            .expect("fewer than 2^32 - 1 values");
        let generation = self.fresh;
        self.slots.push(Slot::Full { generation, value });
        Key { index, generation }
    }

    /// The value of a key, unless the key is stale.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.index as usize)? {
            Slot::Full { generation, value } if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Whether the key still names a value.
    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        matches!(self.slots.get(key.index as usize),
            Some(Slot::Full { generation, .. }) if *generation == key.generation)
    }

    /// Takes the value out; its key, and every copy of it, is stale from now on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        if !self.contains(key) {
            return None;
        }
        let slot = self.slots.get_mut(key.index as usize)?;
        let empty = Slot::Empty { generation: key.generation.wrapping_add(1), next_free: self.first_free };
        self.first_free = key.index;
        self.len -= 1;
        match std::mem::replace(slot, empty) {
            Slot::Full { value, .. } => Some(value),
            Slot::Empty { .. } => None,
        }
    }

    /// Gives the memory of the empty slots at the end back: after a crowd has gone. Their generations are not
    /// begun anew, so keys of the crowd stay stale.
    pub fn shrink(&mut self) {
        while let Some(Slot::Empty { generation, .. }) = self.slots.last() {
            self.fresh = self.fresh.max(*generation);
            self.slots.pop();
        }
        self.slots.shrink_to_fit();
        // The list of the free slots went through those that are gone.
        self.first_free = END;
        for (index, slot) in self.slots.iter_mut().enumerate().rev() {
            if let (Slot::Empty { next_free, .. }, Ok(index)) = (slot, u32::try_from(index)) {
                *next_free = self.first_free;
                self.first_free = index;
            }
        }
    }

    /// The keys of all values, in the order of their slots.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.iter().map(|(key, _)| key)
    }

    /// All values and their keys, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> + '_ {
        self.slots.iter().zip(0u32..).filter_map(|(slot, index)| match slot {
            Slot::Full { generation, value } => Some((Key { index, generation: *generation }, value)),
            Slot::Empty { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_one_occupancy_only() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(second.index, first.index, "the slot is used again");
        assert_eq!(slab.get_mut(first), None, "the old key is stale");
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get_mut(second), Some(&mut "second"));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn what_is_given_back_leaves_no_key_behind() {
        let mut slab = Slab::new();
        let keys: Vec<Key> = (0..100).map(|number| slab.insert(number)).collect();
        for (number, key) in keys.iter().enumerate().filter(|(number, _)| *number != 10 && *number != 20) {
            assert_eq!(slab.remove(*key), Some(number));
        }
        slab.shrink();
        assert_eq!((slab.slots.len(), slab.len()), (21, 2));
        let again: Vec<Key> = (0..100).map(|number| slab.insert(1000 + number)).collect();
        assert_eq!(slab.slots.len(), 102, "the free slots were used first");
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

    /// RULES E6: a million insertions and removals in a scrambled order, no key ever answers for another.
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
            }
        }
        assert_eq!(slab.len(), live.len());
        assert!(live.iter().all(|(key, value)| slab.get_mut(*key) == Some(&mut { *value })));
        assert_eq!(slab.keys().count(), live.len());
    }
}
