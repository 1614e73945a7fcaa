//! What is in a directory, as far as one answer may tell.
//!
//! A directory can hold a million names, and everyone else waits while one is read. So at most
//! [`MAX_NAMES`] are read, in the directory's own order, and only these are sorted. Sizes and times are not
//! asked for here but by the [`Page`], row by row, while it is being sent.

use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use super::open::{Found, Root};
use super::page::Page;
use super::path::{Dotfiles, Wanted, is_served};
use crate::sys::descriptor::Facts;
use crate::sys::directory::{Listed, read_names};

/// Names that are read of one directory, whether they are shown or not (RULES B21): so many take about 3 ms.
const MAX_NAMES: usize = 10_000;

/// Symlinks (and names of unknown kind) that are opened to see whether they would be served: 5 µs each.
const MAX_LOOKUPS: usize = 1_000;

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
}

/// Reads the directory and makes a page of it.
pub(super) fn read(root: &Root, wanted: &Wanted, dotfiles: Dotfiles) -> io::Result<Page> {
    let directory = root.open_directory(wanted)?;
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
    listing.entries.sort_by(|a, b| {
        b.is_directory.cmp(&a.is_directory).then_with(|| folded(&a.name).cmp(folded(&b.name)))
    });
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

/// Capital letters beside small ones, as readers expect; the case decides only between equals.
fn folded(name: &OsStr) -> impl Iterator<Item = u8> + '_ {
    let name = name.as_bytes();
    name.iter().map(u8::to_ascii_lowercase).chain([0]).chain(name.iter().copied())
}
