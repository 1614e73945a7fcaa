//! The tag of a large file without a date: a hash of all of its content, made in steps.
//!
//! A worker keeps the hashes of the versions that it has seen, much longer than the file cache keeps files: a version is
//! hashed once. All responses that wait for a hash share its progress, and in one turn of the loop one of them does one step,
//! so that the other connections wait for [`STEP`] at most, whatever the number of files and clients.

use foldhash::quality::{FixedState, RandomState};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::conditional::{is_settled, is_telling};
use super::content::Content;
use crate::clock::{Instant, Now};
use crate::http1::STEP;
use crate::sys::descriptor::{Metadata, metadata, read_at};

/// The largest file that is hashed: it takes a fifth of a second where the kernel has its pages.
const MAX_HASHED: u64 = 1024 * 1024 * 1024;

/// The most versions whose hashes a worker keeps, the latest: 3 MiB.
const MOST_KEPT: usize = 8192;

/// Bytes that are hashed at once. The hash depends on it: it is the same in all servers.
const PIECE: usize = 64 * 1024;

/// The hash of one version of a file, and how far it has come.
#[derive(Debug)]
pub(super) struct ContentTag {
    version: Metadata,
    progress: Mutex<HashProgress>,
    hash: OnceLock<u64>,
}

#[derive(Debug, Default)]
struct HashProgress {
    /// Bytes that are in the hash.
    offset: u64,
    hash: u64,
}

/// What a step has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HashStep {
    /// More steps are needed.
    More,
    /// The hash is known.
    Done,
    /// The file is no longer the version whose hash is made.
    Changed,
}

impl ContentTag {
    /// The tag of a version that has no hash yet; `None` if the validators of the file are made of other things.
    ///
    /// The time of the last change tells whether the file changes while it is read, so a version is hashed only when a later
    /// change would show in that time. Some mounts have no such time, and show another one.
    pub(super) fn of(content: &Content, version: &Metadata, now: Now) -> Option<Self> {
        let is_large = matches!(content, Content::Large(..)) && version.size <= MAX_HASHED;
        let shows_changes = is_telling(version.changed) && is_settled(version.changed, now.wall);
        let is_wanted = is_large && !is_telling(version.modified) && shows_changes;
        is_wanted.then(|| Self { version: *version, progress: Mutex::default(), hash: OnceLock::new() })
    }

    /// The hash, if it is known.
    pub(super) fn hash(&self) -> Option<u64> {
        self.hash.get().copied()
    }

    /// Hashes pieces of the file, for the time of a step.
    ///
    /// # Errors
    /// As pread(2) and fstat(2).
    pub(super) fn step(&self, file: BorrowedFd<'_>) -> io::Result<HashStep> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, size) = (Instant::now(), self.version.size);
        let mut piece = vec![0; PIECE];
        while progress.offset < size {
            if progress.offset > 0 && begun.elapsed() >= STEP {
                return Ok(HashStep::More);
            }
            let wanted = usize::try_from(size - progress.offset).map_or(PIECE, |rest| rest.min(PIECE));
            if read_at(file, &mut piece[..wanted], progress.offset)? < wanted {
                return Ok(HashStep::Changed);
            }
            progress.hash = FixedState::with_seed(progress.hash).hash_one(&piece[..wanted]);
            progress.offset += wanted as u64;
        }
        if metadata(file)? != self.version {
            return Ok(HashStep::Changed);
        }
        self.hash.get_or_init(|| progress.hash);
        Ok(HashStep::Done)
    }
}

/// The tags of content of a worker.
#[derive(Debug, Default)]
pub(super) struct TagTable {
    kept: RefCell<KeptTags>,
    turns: Arc<Turns>,
}

/// The tags by version, and their versions in the order in which they were seen first.
#[derive(Debug, Default)]
struct KeptTags {
    tags: HashMap<Metadata, Arc<ContentTag>, RandomState>,
    order: VecDeque<Metadata>,
}

impl TagTable {
    /// As [`ContentTag::of`], for any version: its hash may be known, or on its way.
    pub(super) fn of(&self, content: &Content, version: &Metadata, now: Now) -> Option<Arc<ContentTag>> {
        let tag = Arc::new(ContentTag::of(content, version, now)?);
        let KeptTags { tags, order } = &mut *self.kept.borrow_mut();
        if let Some(known) = tags.get(version) {
            return Some(Arc::clone(known));
        }
        if order.len() >= MOST_KEPT
            && let Some(oldest) = order.pop_front()
        {
            tags.remove(&oldest);
        }
        order.push_back(*version);
        tags.insert(*version, Arc::clone(&tag));
        Some(tag)
    }

    /// A place for a response that waits for a hash.
    pub(super) fn place(&self) -> TurnPlace {
        TurnPlace { turns: Arc::clone(&self.turns), skips: 0 }
    }
}

/// Shares out the turns of a loop: in each of them one response hashes.
#[derive(Debug, Default)]
struct Turns(Mutex<TurnState>);

#[derive(Debug, Default)]
struct TurnState {
    turn: Option<Instant>,
    is_taken: bool,
    /// Responses that have asked in this turn.
    askers: u32,
    /// The same, in the turn before.
    askers_before: u32,
}

/// The place of one response among those that wait for a hash.
#[derive(Debug)]
pub(super) struct TurnPlace {
    turns: Arc<Turns>,
    /// The number of turns that it leaves to others.
    skips: u32,
}

impl TurnPlace {
    /// Whether this response may do a step in the turn that began at `turn`. After a step it leaves as many turns to the
    /// others as there are others.
    pub(super) fn takes(&mut self, turn: Instant) -> bool {
        let mut state = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.turn != Some(turn) {
            let askers_before = state.askers;
            *state = TurnState { turn: Some(turn), is_taken: false, askers: 0, askers_before };
        }
        state.askers += 1;
        if state.is_taken || self.skips > 0 {
            self.skips = self.skips.saturating_sub(1);
            return false;
        }
        self.skips = state.askers_before.saturating_sub(1);
        state.is_taken = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::AsFd;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::sys::descriptor::duplicate;

    /// A file of this content with a time of 1970, whose time of change is settled.
    fn undated(bytes: &[u8]) -> (File, Metadata, Content) {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("content");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).expect("a time");
        let found = metadata(file.as_fd()).expect("metadata");
        let copy = duplicate(&file).expect("a descriptor");
        let content = Content::read(copy, &found, Path::new("file")).expect("a read").expect("no change");
        (file, found, content)
    }

    fn later() -> Now {
        Now::ask().after(Duration::from_secs(10))
    }

    fn finish(tag: &ContentTag, file: &File) -> u64 {
        while tag.step(file.as_fd()).expect("a step") == HashStep::More {}
        tag.hash().expect("a hash")
    }

    #[test]
    fn a_hash_is_that_of_all_bytes() {
        let bytes: Vec<u8> = (0..700_000_u32).flat_map(u32::to_ne_bytes).collect();
        let hash = |bytes: &[u8]| {
            let (file, found, content) = undated(bytes);
            finish(&ContentTag::of(&content, &found, later()).expect("a tag"), &file)
        };
        let known = hash(&bytes);
        assert_eq!(known, hash(&bytes));
        for at in [0, PIECE - 1, PIECE, bytes.len() / 2, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_ne!(hash(&other), known, "{at}");
        }
        assert_ne!(hash(&bytes[..bytes.len() - 1]), known);
    }

    #[test]
    fn only_large_files_without_a_date_are_hashed() {
        let (_, found, content) = undated(&[7; 20_000]);
        assert!(ContentTag::of(&content, &found, later()).is_some());
        assert!(ContentTag::of(&content, &found, Now::ask()).is_none(), "it may change in this tick");
        let dated = Metadata { modified: found.changed, ..found };
        assert!(ContentTag::of(&content, &dated, later()).is_none());
        for (size, is_hashed) in [(MAX_HASHED, true), (MAX_HASHED + 1, false)] {
            let sized = Metadata { size, ..found };
            assert_eq!(ContentTag::of(&content, &sized, later()).is_some(), is_hashed, "{size}");
        }
        let (_, found, content) = undated(&[7; 100]);
        assert!(ContentTag::of(&content, &found, later()).is_none(), "it is in memory");
    }

    #[test]
    fn a_change_is_seen_at_the_end() {
        let (mut file, found, content) = undated(&[7; 200_000]);
        let tag = ContentTag::of(&content, &found, later()).expect("a tag");
        // A change within one tick of the file system's clock does not show.
        while metadata(file.as_fd()).expect("metadata").changed == found.changed {
            file.set_modified(found.modified.to_system()).expect("the same time");
        }
        let now = metadata(file.as_fd()).expect("metadata");
        assert_eq!((now.size, now.modified), (found.size, found.modified));
        assert_eq!(tag.step(file.as_fd()).expect("a step"), HashStep::Changed);
        file.write_all(b"more").expect("a write");
        assert_eq!(tag.step(file.as_fd()).expect("a step"), HashStep::Changed);
        file.set_len(100).expect("a cut");
        let tag = ContentTag::of(&content, &found, later()).expect("a tag");
        assert_eq!(tag.step(file.as_fd()).expect("a step"), HashStep::Changed);
        assert_eq!(tag.hash(), None);
    }

    #[test]
    fn a_version_is_hashed_once() {
        let (file, found, content) = undated(&[7; 200_000]);
        let table = TagTable::default();
        let tag = table.of(&content, &found, later()).expect("a tag");
        let hash = finish(&tag, &file);
        assert_eq!(table.of(&content, &found, later()).and_then(|tag| tag.hash()), Some(hash));
        let mut other = found;
        other.changed.nanoseconds ^= 1;
        assert_eq!(table.of(&content, &other, later()).and_then(|tag| tag.hash()), None);
        for inode in 0..MOST_KEPT as u64 {
            table.of(&content, &Metadata { inode, ..found }, later());
        }
        assert_eq!(
            table.of(&content, &found, later()).and_then(|tag| tag.hash()),
            None,
            "the table is bounded"
        );
    }

    /// Three responses have the same share of the turns; the last one alone has all of them.
    #[test]
    fn turns_are_shared_out() {
        let table = TagTable::default();
        let mut places = [table.place(), table.place(), table.place()];
        let mut counts = [0; 3];
        let mut now = Instant::now();
        for _ in 0..300 {
            now = now + STEP;
            let taken: Vec<bool> = places.iter_mut().map(|place| place.takes(now)).collect();
            assert!(taken.iter().filter(|taken| **taken).count() <= 1, "one step in a turn");
            for (count, taken) in counts.iter_mut().zip(taken) {
                *count += u32::from(taken);
            }
        }
        assert!(counts.iter().all(|count| (98..=102).contains(count)), "{counts:?}");
        let [mut last, ..] = places;
        let alone = (0..100).filter(|_| {
            now = now + STEP;
            last.takes(now)
        });
        assert!(alone.count() >= 95);
    }
}
