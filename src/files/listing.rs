//! What is in a directory, as far as one answer may tell.
//!
//! A directory can hold a million names, and everyone else waits while one is read. So at most
//! [`MAX_NAMES`] are read, in the directory's own order, and only these are sorted. Sizes and times are not
//! asked for here but by the [`Page`], row by row, while it is being sent, and only of a list that is not long.
//! The last long list is kept: who asks for it again and again, or many at once, costs no more than one.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::open::{Found, Root};
use super::page::{Page, rows_len};
use super::path::{Dotfiles, Wanted, is_served};
use crate::clock::Now;
use crate::sys::descriptor::Facts;
use crate::sys::directory::{Listed, read_names};

/// Names that are read of one directory, whether they are shown or not (RULES B21). So many take 5 to 10 ms.
const MAX_NAMES: usize = 10_000;

/// Symlinks (and names of unknown kind) that are opened to see whether they would be served: 5 µs each.
const MAX_LOOKUPS: usize = 1_000;

/// Up to so many entries have their sizes and times shown, 3 µs each; and up to so many the directory is read
/// anew each time, since that is quick.
const MAX_DETAILED: usize = 2_000;

/// A directory that changed less long ago than this may change again without its time telling: the times of
/// file systems go on in steps, of up to two seconds (FAT).
const SETTLED: Duration = Duration::from_secs(3);

/// A name that is shown.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: OsString,
    pub(super) is_directory: bool,
    /// What a symlink leads to; of all others it is asked when they are shown.
    pub(super) target: Option<Box<Facts>>,
}

/// What of a directory is shown.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Directories first, then by name.
    pub(super) entries: Vec<Entry>,
    /// Whether there is more than was looked at.
    pub(super) is_cut: bool,
    /// Whether sizes and times are shown.
    pub(super) is_detailed: bool,
    /// Bytes of all rows.
    pub(super) rows_len: u64,
}

/// The last long list, and what it is the list of.
#[derive(Debug, Default)]
pub(super) struct Kept(RefCell<Option<(PathBuf, Facts, Arc<Listing>)>>);

impl Kept {
    fn find(&self, wanted: &Wanted, facts: Facts) -> Option<Arc<Listing>> {
        let kept = self.0.borrow();
        let (path, then, listing) = kept.as_ref()?;
        (*path == wanted.relative && *then == facts).then(|| Arc::clone(listing))
    }
}

/// Reads the directory and makes a page of it.
pub(super) fn read(
    root: &Root,
    wanted: &Wanted,
    dotfiles: Dotfiles,
    kept: &Kept,
    now: Now,
) -> io::Result<Page> {
    let (directory, facts) = root.open_directory(wanted)?;
    if let Some(listing) = kept.find(wanted, facts) {
        return Ok(Page::new(directory, wanted, listing));
    }
    let mut listing = Listing::default();
    let (mut names, mut lookups) = (0, 0);
    read_names(directory.as_fd(), |name, listed| {
        names += 1;
        lookups += usize::from(listed == Listed::Unclear);
        listing.is_cut = names > MAX_NAMES || lookups > MAX_LOOKUPS;
        if listing.is_cut {
            return ControlFlow::Break(());
        }
        if is_served(name, dotfiles) {
            listing.entries.extend(entry(root, wanted, name, listed));
        }
        ControlFlow::Continue(())
    })?;
    listing.entries.sort_unstable_by(in_order);
    listing.is_detailed = names <= MAX_DETAILED;
    listing.rows_len = rows_len(&listing);
    let listing = Arc::new(listing);
    // What a symlink leads to changes without a trace in the directory.
    let is_settled = now.wall.duration_since(facts.modified).is_ok_and(|age| age > SETTLED);
    if !listing.is_detailed && lookups == 0 && is_settled {
        *kept.0.borrow_mut() = Some((wanted.relative.clone(), facts, Arc::clone(&listing)));
    }
    Ok(Page::new(directory, wanted, listing))
}

/// The entry for a name, if it would be served.
fn entry(root: &Root, wanted: &Wanted, name: &OsStr, listed: Listed) -> Option<Entry> {
    let (is_directory, target) = match listed {
        Listed::Regular => (false, None),
        Listed::Directory => (true, None),
        Listed::Other => return None,
        // It may lead out of the root, to nothing, or in a circle.
        Listed::Unclear => match root.open_beneath(&wanted.relative.join(name)).ok()? {
            Found::Directory => (true, None),
            Found::File(file) => (false, Some(Box::new(file.facts))),
        },
    };
    Some(Entry { name: name.to_os_string(), is_directory, target })
}

/// Directories first; capital letters beside small ones, as readers expect.
fn in_order(a: &Entry, b: &Entry) -> Ordering {
    let by_name = || in_order_of_names(a.name.as_bytes(), b.name.as_bytes());
    b.is_directory.cmp(&a.is_directory).then_with(by_name)
}

/// Names in one directory often begin the same: what is equal as it stands is skipped before anything is
/// folded. Names that are equal but for the case come in the order of their bytes.
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
            Entry { name: name.trim_end_matches('/').into(), is_directory, target: None }
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
