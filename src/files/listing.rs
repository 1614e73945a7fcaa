//! Reading a directory to list it.
//!
//! A directory can have a million names, and all other connections wait while it is read. So one with more than
//! [`MAX_NAMES`] is refused: a program that mirrors the directory must not take a part of it for all. The page asks for
//! sizes and times while it is sent, row by row. The last long listing is cached, so that repeated or concurrent requests
//! for it cost as much as one.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::io::Errno;

use super::path::{Dotfiles, ResolvedPath, is_served};
use super::root::{OpenOutcome, Root};
use crate::clock::Now;
use crate::sys::descriptor::Metadata;
use crate::sys::directory::{NameKind, read_names};

/// The most names of one directory, shown or not (RULES B21): 5 to 10 ms.
pub(super) const MAX_NAMES: usize = 10_000;

/// The most symlinks (and names of unknown type) that are opened to check whether they are served: 5 µs each.
const MAX_LOOKUPS: usize = 1_000;

/// A directory of at most this many names is read again for each request, because that is quick.
const QUICK: usize = 2_000;

/// A directory that changed less than this before it was read may change again with the same time: the clocks of file
/// systems have steps of up to two seconds (FAT).
const SETTLED: Duration = Duration::from_secs(3);

/// A name that is shown.
#[derive(Debug)]
pub(super) struct DirectoryEntry {
    pub(super) name: OsString,
    pub(super) is_directory: bool,
    /// The target of a symlink; the metadata of other entries is read when they are shown.
    pub(super) target: Option<Box<Metadata>>,
}

/// The entries of a directory that are shown.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Directories first, then by name.
    pub(super) entries: Vec<DirectoryEntry>,
    /// Bytes of all rows, which the first page of this listing counts.
    pub(super) rows_len: OnceLock<u64>,
}

/// The last long listing, with the path and the metadata of its directory.
#[derive(Debug, Default)]
pub(super) struct ListingCache(RefCell<Option<(PathBuf, Metadata, Arc<Listing>)>>);

impl ListingCache {
    fn find(&self, path: &ResolvedPath, metadata: Metadata) -> Option<Arc<Listing>> {
        let cached = self.0.borrow();
        let (cached_path, then, listing) = cached.as_ref()?;
        (*cached_path == path.relative && *then == metadata).then(|| Arc::clone(listing))
    }
}

/// Reads the directory at `path`. Returns it open, so that the page can ask for sizes and times. Fails with `E2BIG` if it
/// has too many names.
pub(super) fn read(
    root: &Root,
    path: &ResolvedPath,
    dotfiles: Dotfiles,
    cache: &ListingCache,
    now: Now,
) -> io::Result<(OwnedFd, Arc<Listing>)> {
    let (directory, metadata) = root.open_directory(path)?;
    if let Some(listing) = cache.find(path, metadata) {
        return Ok((directory, listing));
    }
    let mut listing = Listing::default();
    let (mut names, mut lookups) = (0, 0);
    read_names(directory.as_fd(), |name, kind| {
        names += 1;
        lookups += usize::from(kind == NameKind::Unclear);
        if is_too_long(names, lookups) {
            return ControlFlow::Break(());
        }
        if is_served(name, dotfiles) {
            listing.entries.extend(entry(root, path, name, kind));
        }
        ControlFlow::Continue(())
    })?;
    if is_too_long(names, lookups) {
        return Err(Errno::TOOBIG.into());
    }
    listing.entries.sort_unstable_by(in_order);
    let listing = Arc::new(listing);
    // The target of a symlink can change while the directory stays the same.
    let is_settled = metadata.modified.age(now.wall).is_some_and(|age| age > SETTLED);
    if names > QUICK && lookups == 0 && is_settled {
        *cache.0.borrow_mut() = Some((path.relative.clone(), metadata, Arc::clone(&listing)));
    }
    Ok((directory, listing))
}

fn is_too_long(names: usize, lookups: usize) -> bool {
    names > MAX_NAMES || lookups > MAX_LOOKUPS
}

/// The entry for a name, if it is served.
fn entry(root: &Root, path: &ResolvedPath, name: &OsStr, kind: NameKind) -> Option<DirectoryEntry> {
    let (is_directory, target) = match kind {
        NameKind::Regular => (false, None),
        NameKind::Directory => (true, None),
        NameKind::Other => return None,
        // A symlink may lead out of the root, to nothing, or in a circle.
        NameKind::Unclear => match root.open_beneath(&path.relative.join(name)).ok()? {
            OpenOutcome::Directory => (true, None),
            OpenOutcome::File(file) => (false, Some(Box::new(file.metadata))),
        },
    };
    Some(DirectoryEntry { name: name.to_os_string(), is_directory, target })
}

/// Directories first, then by name without case.
fn in_order(a: &DirectoryEntry, b: &DirectoryEntry) -> Ordering {
    let by_name = || in_order_of_names(a.name.as_bytes(), b.name.as_bytes());
    b.is_directory.cmp(&a.is_directory).then_with(by_name)
}

/// Compares names without case, and by bytes if they differ only in case. Names in one directory often have the same
/// beginning, which is skipped before any byte is folded.
fn in_order_of_names(a: &[u8], b: &[u8]) -> Ordering {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let folded = |byte: &u8| byte.to_ascii_lowercase();
    a[same..].iter().map(folded).cmp(b[same..].iter().map(folded)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_names() {
        let entry = |name: &str| {
            let is_directory = name.ends_with('/');
            DirectoryEntry { name: name.trim_end_matches('/').into(), is_directory, target: None }
        };
        let mut entries: Vec<_> =
            ["b", "README", "Z/", "a", "readme", "Readme.txt", "a/", "B", "a1", "%", "z", "м"]
                .map(entry)
                .into();
        entries.sort_unstable_by(in_order);
        let names: Vec<_> = entries.iter().map(|entry| entry.name.to_str().expect("UTF-8")).collect();
        let want = ["a", "Z", "%", "a", "a1", "B", "b", "README", "readme", "Readme.txt", "z", "м"];
        assert_eq!(names, want);
    }
}
