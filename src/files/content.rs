//! The content of a file: in memory if it is small, else an open file that is compared with what it was.
//!
//! A response has one version of its file, whole. So a small file is read at once, and again if it changed meanwhile. A
//! large one is compared with its [`FileVersion`] for each piece that is sent, and a response whose file has changed is cut
//! short. The kernel sends the pages of the file themselves, so a write could still change those that are on their way:
//! a file that changed lately is copied, and a piece is compared before it is sent.

use std::hash::BuildHasher;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use foldhash::quality::FixedState;

use super::conditional::{is_settled, is_telling, telling_time};
use crate::chat::{Chunk, FileSlice, Unchanged};
use crate::clock::Now;
use crate::http1::Body;
use crate::sys::descriptor::{FileTime, Metadata, metadata, read_at};

/// The largest file that is read and leaves in one `send` with its head; for a larger one `sendfile` saves more than its
/// extra call costs.
const SMALL: usize = 16 * 1024;

/// A file that was modified less than this ago is copied: programs that write files in place do it again soon.
const HOT: Duration = Duration::from_secs(10);

/// How often a file is read again that changes while it is read.
pub(super) const MAX_CHANGES: usize = 3;

/// The bytes at each end of a large file that are compared when it has grown.
const SAMPLE: usize = 4 * 1024;

/// The content of one version of a file.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Small(Arc<[u8]>),
    /// An open file, and the time that shows its last change.
    Large(FileSlice, FileTime),
}

impl Content {
    /// Reads a small file, or the ends of a large one. `None`: the file has changed since `found`.
    pub(super) fn read(file: OwnedFd, found: &Metadata, name: &Path) -> io::Result<Option<Self>> {
        let small = usize::try_from(found.size).ok().filter(|size| *size <= SMALL);
        let content = match small {
            Some(size) => {
                let mut bytes = vec![0; size];
                if read_at(file.as_fd(), &mut bytes, 0)? != size {
                    return Ok(None);
                }
                Self::Small(bytes.into())
            }
            None => {
                let (size, modified) = (found.size, found.modified);
                let ends = match hash_of_ends(file.as_fd(), size) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                    ends => ends?,
                };
                let last_change = (!is_telling(modified)).then_some((found.changed, found.links));
                let version = FileVersion { size, modified, last_change, ends, name: name.into() };
                return Ok(Some(Self::Large(FileSlice::checked(file, size, version), telling_time(found))));
            }
        };
        // The time of the last change may differ: a rename is none of the content.
        let now = metadata(file.as_fd())?;
        Ok(((now.size, now.modified) == (found.size, found.modified)).then_some(content))
    }

    /// A number that other content hardly has, if all of the content is known.
    pub(super) fn hash(&self) -> Option<u64> {
        match self {
            Self::Small(bytes) => Some(hash(bytes)),
            Self::Large(..) => None,
        }
    }

    /// Bytes in memory.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Small(bytes) => bytes.len(),
            Self::Large(..) => 0,
        }
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Small(bytes) => bytes.len() as u64,
            Self::Large(slice, _) => slice.len,
        }
    }

    /// All of the content.
    pub(super) fn whole(&self, now: Now) -> Body {
        match self {
            Self::Small(bytes) => Body::Shared(Arc::clone(bytes)),
            Self::Large(slice, changed) => Body::File(sendable(slice.clone(), *changed, now)),
        }
    }

    /// `len` bytes from `first` on, which must be in the content.
    pub(super) fn part(&self, first: u64, len: u64, now: Now) -> Chunk {
        match self {
            Self::Small(bytes) => {
                let at = |position| usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
                Chunk::Bytes(bytes[at(first)..at(first + len)].to_vec())
            }
            Self::Large(slice, changed) => Chunk::File(sendable(slice.slice(first, len), *changed, now)),
        }
    }
}

fn sendable(mut slice: FileSlice, changed: FileTime, now: Now) -> FileSlice {
    slice.is_copied = changed.age(now.wall).is_none_or(|age| age < HOT);
    slice
}

/// What a large file was when it was opened.
#[derive(Debug)]
struct FileVersion {
    size: u64,
    modified: FileTime,
    /// Where the modification time tells nothing: the time of the last change, and the number of links.
    last_change: Option<(FileTime, u32)>,
    /// A hash of its first and last bytes.
    ends: u64,
    name: PathBuf,
}

impl Unchanged for FileVersion {
    /// A file that is only appended to, as a log is, still has the bytes that were promised. Its time moves before its
    /// size does, so a change without another size may be the begin of an append; the clock tells for how long.
    fn check(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        let found = metadata(file)?;
        // Another number of links moves the time as well: a deployment has renamed a new file over this one.
        let shows_write =
            |(changed, links): (FileTime, u32)| found.changed != changed && found.links == links;
        let is_same = found.size == self.size && found.modified == self.modified;
        if is_same && !self.last_change.is_some_and(shows_write) {
            return Ok(());
        }
        let may_grow = found.size == self.size && !is_same && !is_settled(found.modified, SystemTime::now());
        if (found.size > self.size || may_grow) && hash_of_ends(file, self.size)? == self.ends {
            return Ok(());
        }
        Err(io::Error::other(format!("{} was changed while it was sent", self.name.display())))
    }
}

/// The same for the same bytes in every process, so that replicas agree.
fn hash(bytes: &[u8]) -> u64 {
    FixedState::with_seed(0).hash_one(bytes)
}

fn hash_of_ends(file: BorrowedFd<'_>, size: u64) -> io::Result<u64> {
    let mut bytes = vec![0; 2 * SAMPLE];
    let (first, last) = bytes.split_at_mut(SAMPLE);
    let count = read_at(file, first, 0)? + read_at(file, last, size.saturating_sub(SAMPLE as u64))?;
    if count < 2 * SAMPLE {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short"));
    }
    Ok(hash(&bytes))
}
