//! The names of a directory, in memory and in order.
//!
//! A directory may have a million names, and the other connections wait while one hook works. So names are sorted in runs
//! of [`RUN`], one after the other while the directory is read, and the runs are merged row by row while they are sent.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as AtomicOrdering};

use super::natural;
use super::view::{SortKey, SortOrder};
use crate::sys::descriptor::{FileTime, Metadata};

/// Names that are sorted at once: a third of a millisecond.
const RUN: usize = 1024;

/// The most names of one directory, shown or not.
pub(super) const MAX_NAMES: usize = 1_000_000;

/// The most bytes of one listing in memory: a million names of 28 bytes with sizes and times.
const MAX_LEN: usize = 64 * 1024 * 1024;

/// The most bytes that all listings of a worker hold.
const MAX_HELD: usize = 2 * MAX_LEN;

/// A listing of at most this many bytes is always made: the number of connections bounds these, and each may hold as much
/// output.
const SMALL: usize = 64 * 1024;

/// Size and time of a name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EntryFacts {
    /// The size in bytes; 0 for a directory.
    pub(super) size: u64,
    /// Last modification; `None` if it cannot be found out.
    pub(super) modified: Option<FileTime>,
}

impl EntryFacts {
    pub(super) fn of(metadata: &Metadata, is_directory: bool) -> Self {
        let size = if is_directory { 0 } else { metadata.size };
        Self { size, modified: Some(metadata.modified) }
    }
}

/// A name that is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct DirectoryEntry {
    /// Where its name begins in the arena.
    start: u32,
    len: u16,
    pub(super) is_directory: bool,
    /// The index of its facts, or [`NO_FACTS`].
    facts: u32,
}

const NO_FACTS: u32 = u32::MAX;

/// The entries of a directory that are shown.
#[derive(Debug)]
pub(super) struct Listing {
    /// All names, one after the other.
    names: Vec<u8>,
    entries: Vec<DirectoryEntry>,
    facts: Vec<EntryFacts>,
    order: SortOrder,
    pub(super) folders: usize,
    held: HeldMemory,
}

/// Why a name has no place in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListingOverflow {
    /// The listing has too many names, or too many bytes of names.
    TooLong,
    /// All listings together hold too much.
    TooManyListings,
}

impl Listing {
    pub(super) fn new(order: SortOrder, memory: &ListingMemory) -> Self {
        let held = HeldMemory { all: memory.clone(), mine: 0 };
        Self { names: Vec::new(), entries: Vec::new(), facts: Vec::new(), order, folders: 0, held }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn name(&self, entry: DirectoryEntry) -> &OsStr {
        let start = entry.start as usize;
        OsStr::from_bytes(&self.names[start..start + usize::from(entry.len)])
    }

    /// The facts that the entry was added with.
    pub(super) fn facts(&self, entry: DirectoryEntry) -> Option<EntryFacts> {
        self.facts.get(entry.facts as usize).copied()
    }

    /// Adds a name, and sorts the run that it completes.
    pub(super) fn push(
        &mut self,
        name: &OsStr,
        is_directory: bool,
        facts: Option<EntryFacts>,
    ) -> Result<DirectoryEntry, ListingOverflow> {
        let (start, len) = (u32::try_from(self.names.len()), u16::try_from(name.len()));
        let (Ok(start), Ok(len)) = (start, len) else {
            return Err(ListingOverflow::TooLong);
        };
        let index =
            if facts.is_some() { u32::try_from(self.facts.len()).unwrap_or(NO_FACTS) } else { NO_FACTS };
        let entry = DirectoryEntry { start, len, is_directory, facts: index };
        let facts_len = if facts.is_some() { size_of::<EntryFacts>() } else { 0 };
        self.held.add(name.len() + size_of::<DirectoryEntry>() + facts_len)?;
        self.names.extend_from_slice(name.as_bytes());
        self.facts.extend(facts);
        self.entries.push(entry);
        self.folders += usize::from(is_directory);
        if self.entries.len().is_multiple_of(RUN) {
            self.sort_run(self.entries.len() - RUN);
        }
        Ok(entry)
    }

    /// Sorts the last run, and gives back the memory that no name has used. No name may be added after that.
    pub(super) fn finish(&mut self) {
        self.names.shrink_to_fit();
        self.entries.shrink_to_fit();
        self.facts.shrink_to_fit();
        self.sort_run(self.entries.len() / RUN * RUN);
    }

    fn sort_run(&mut self, start: usize) {
        let mut run = self.entries.split_off(start);
        run.sort_unstable_by(|a, b| self.compare(*a, *b));
        self.entries.append(&mut run);
    }

    /// Folders first, then by the key, then by name.
    fn compare(&self, a: DirectoryEntry, b: DirectoryEntry) -> Ordering {
        let by_name = || natural::compare(self.name(a).as_bytes(), self.name(b).as_bytes());
        let facts = |entry| self.facts(entry).unwrap_or_default();
        let by_key = || {
            let order = match self.order.key {
                SortKey::Name => by_name(),
                SortKey::Size => facts(a).size.cmp(&facts(b).size),
                SortKey::Date => facts(a).modified.cmp(&facts(b).modified),
            };
            if self.order.is_descending { order.reverse() } else { order }
        };
        b.is_directory.cmp(&a.is_directory).then_with(by_key).then_with(by_name)
    }
}

/// Merges the sorted runs of a listing: a heap of the first entry of each.
#[derive(Debug)]
pub(super) struct Merger(Vec<usize>);

impl Merger {
    pub(super) fn new(listing: &Listing) -> Self {
        let mut merger = Self((0..listing.len()).step_by(RUN).collect());
        for at in (0..merger.0.len() / 2).rev() {
            merger.sift_down(at, listing);
        }
        merger
    }

    /// Takes the next entry in order.
    pub(super) fn next(&mut self, listing: &Listing) -> Option<DirectoryEntry> {
        let heads = &mut self.0;
        let first = *heads.first()?;
        let next = first + 1;
        if next.is_multiple_of(RUN) || next == listing.len() {
            heads.swap_remove(0);
        } else {
            heads[0] = next;
        }
        self.sift_down(0, listing);
        Some(listing.entries[first])
    }

    fn sift_down(&mut self, mut at: usize, listing: &Listing) {
        let heads = &mut self.0;
        let is_before = |a: usize, b: usize| listing.compare(listing.entries[a], listing.entries[b]).is_lt();
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < heads.len() && is_before(heads[child], heads[least]) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            heads.swap(at, least);
            at = least;
        }
    }
}

/// The bytes that all listings of a worker hold.
#[derive(Clone, Debug, Default)]
pub(super) struct ListingMemory(Arc<AtomicUsize>);

/// The part of one listing in [`ListingMemory`].
#[derive(Debug)]
struct HeldMemory {
    all: ListingMemory,
    mine: usize,
}

impl HeldMemory {
    fn add(&mut self, bytes: usize) -> Result<(), ListingOverflow> {
        let all = self.all.0.fetch_add(bytes, AtomicOrdering::Relaxed) + bytes;
        self.mine += bytes;
        if self.mine > MAX_LEN {
            Err(ListingOverflow::TooLong)
        } else if all > MAX_HELD && self.mine > SMALL {
            Err(ListingOverflow::TooManyListings)
        } else {
            Ok(())
        }
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.mine, AtomicOrdering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_order(names: &[&str], order: SortOrder, facts: impl Fn(&str) -> Option<EntryFacts>) -> Vec<String> {
        let mut listing = Listing::new(order, &ListingMemory::default());
        for name in names {
            let (name, is_directory) = (name.trim_end_matches('/'), name.ends_with('/'));
            listing.push(OsStr::new(name), is_directory, facts(name)).expect("a place");
        }
        listing.finish();
        let mut merger = Merger::new(&listing);
        std::iter::from_fn(|| merger.next(&listing))
            .map(|entry| listing.name(entry).to_str().expect("UTF-8").to_owned())
            .collect()
    }

    #[test]
    fn folders_are_first_in_every_order() {
        let names = ["b2", "c", "Z/", "a10", "a/", "a9"];
        let facts = |name: &str| {
            let seconds = i64::from(name.as_bytes()[0]);
            let modified = Some(FileTime { seconds, nanoseconds: 0 });
            Some(EntryFacts { size: name.len() as u64 % 3, modified })
        };
        for (key, is_descending, want) in [
            (SortKey::Name, false, ["a", "Z", "a9", "a10", "b2", "c"]),
            (SortKey::Name, true, ["Z", "a", "c", "b2", "a10", "a9"]),
            // The same size: by name, up.
            (SortKey::Size, false, ["a", "Z", "a10", "c", "a9", "b2"]),
            (SortKey::Size, true, ["a", "Z", "a9", "b2", "c", "a10"]),
            (SortKey::Date, false, ["Z", "a", "a9", "a10", "b2", "c"]),
            (SortKey::Date, true, ["a", "Z", "c", "b2", "a9", "a10"]),
        ] {
            assert_eq!(
                in_order(&names, SortOrder { key, is_descending }, facts),
                want,
                "{key:?} {is_descending}"
            );
        }
    }

    #[test]
    fn runs_are_merged() {
        for count in [0, 1, RUN - 1, RUN, RUN + 1, 2 * RUN, 5 * RUN + 7] {
            // Each number once, in disorder: the factor has no divisor in common with any count.
            let names: Vec<String> = (0..count).map(|n| format!("n{}", n * 7919 % count)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let want: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
            assert_eq!(in_order(&names, SortOrder::default(), |_| None), want, "{count}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let memory = ListingMemory::default();
        let name = "x".repeat(60_000);
        let fill = || {
            let mut listing = Listing::new(SortOrder::default(), &memory);
            let overflow = loop {
                if let Err(overflow) = listing.push(OsStr::new(&name), false, None) {
                    break overflow;
                }
            };
            (listing, overflow)
        };
        let first = fill();
        assert_eq!(first.1, ListingOverflow::TooLong);
        // The name that had no place counts, too, until the listing is dropped.
        let second = fill();
        assert_eq!(second.1, ListingOverflow::TooManyListings);
        let mut small = Listing::new(SortOrder::default(), &memory);
        small.push(OsStr::new("small"), false, None).expect("a place beside the others");
        drop((first, second, small));
        assert_eq!(memory.0.load(AtomicOrdering::Relaxed), 0);
    }
}
