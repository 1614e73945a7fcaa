//! The body of a listing, made while it is sent: the rows come from the sorted runs, one by one.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;

use super::listing::{DirectoryEntry, EntryFacts, Listing, Merger};
use super::path::ResolvedPath;
use super::view::{ListingFormat, View};
use super::{listing_json, page};
use crate::chat::{Chunk, Producer};
use crate::http1::{Response, Status};
use crate::sys::directory::NameReader;

/// Rows in one piece: about 3 KiB, and up to 70 µs for their order and metadata. A turn makes sixteen pieces at most.
const ROWS: usize = 32;

/// The producer of a listing.
#[derive(Debug)]
pub(super) struct Rows {
    /// The listed directory, for the metadata of its names.
    directory: NameReader,
    listing: Listing,
    view: View,
    /// The rest of the rows, in order; `None` before the first piece.
    merger: Option<Merger>,
    /// The part above the rows, until it is sent.
    top: String,
    made: usize,
    /// Bytes that are left.
    remaining: u64,
}

impl Rows {
    /// `rows_len`: the sum of [`row_len`] of all entries.
    pub(super) fn new(
        directory: NameReader,
        path: &ResolvedPath,
        listing: Listing,
        view: View,
        rows_len: u64,
    ) -> Self {
        let files = listing.len() - listing.folders;
        let (top, end) = match view.format {
            ListingFormat::Html => (page::top(path, view.order, listing.folders, files), page::END),
            ListingFormat::Json => (listing_json::TOP.to_owned(), listing_json::END),
        };
        let remaining = top.len() as u64 + rows_len + end.len() as u64;
        Self { directory, listing, view, merger: None, top, made: 0, remaining }
    }

    /// Size and time of an entry. An entry that was removed meanwhile keeps its row: the length is promised.
    fn facts(&self, entry: DirectoryEntry) -> Option<EntryFacts> {
        self.listing.facts(entry).or_else(|| {
            let metadata = self.directory.metadata(self.listing.name(entry)).ok()?;
            Some(EntryFacts::of(&metadata, entry.is_directory))
        })
    }
}

impl Producer for Rows {
    fn more(&mut self) -> io::Result<Option<Chunk>> {
        if self.remaining == 0 {
            return Ok(None);
        }
        let mut merger = self.merger.take().unwrap_or_else(|| Merger::new(&self.listing));
        let mut piece = std::mem::take(&mut self.top);
        let end = self.listing.len().min(self.made + ROWS);
        while self.made < end
            && let Some(entry) = merger.next(&self.listing)
        {
            let row = Row { name: self.listing.name(entry), entry, facts: self.facts(entry) };
            // Writing into a String cannot fail.
            let _ = row.write(&mut piece, self.view, self.made == 0);
            self.made += 1;
        }
        self.merger = Some(merger);
        let is_last = self.made == self.listing.len();
        if is_last {
            piece.push_str(match self.view.format {
                ListingFormat::Html => page::END,
                ListingFormat::Json => listing_json::END,
            });
        }
        let rest = self.remaining.checked_sub(piece.len() as u64).filter(|rest| (*rest == 0) == is_last);
        self.remaining =
            rest.ok_or_else(|| io::Error::other("a listing is not as long as its head has promised"))?;
        Ok(Some(Chunk::Bytes(piece.into_bytes())))
    }

    fn remaining(&self) -> u64 {
        self.remaining
    }
}

struct Row<'a> {
    name: &'a OsStr,
    entry: DirectoryEntry,
    facts: Option<EntryFacts>,
}

impl Row<'_> {
    fn write(&self, out: &mut impl fmt::Write, view: View, is_first: bool) -> fmt::Result {
        let (name, is_directory) = (self.name.as_bytes(), self.entry.is_directory);
        match view.format {
            ListingFormat::Html => page::write_row(out, name, is_directory, self.facts, view.order),
            ListingFormat::Json => {
                listing_json::write_row(out, name, is_directory, self.facts.unwrap_or_default(), is_first)
            }
        }
    }
}

/// The bytes of the row of the last entry that was added to `listing`.
pub(super) fn row_len(view: View, listing: &Listing, entry: DirectoryEntry) -> u64 {
    let row = Row { name: listing.name(entry), entry, facts: listing.facts(entry) };
    let mut length = Counter(0);
    // Counting cannot fail.
    let _ = row.write(&mut length, view, listing.len() == 1);
    length.0
}

/// Counts the written bytes.
struct Counter(u64);

impl fmt::Write for Counter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len() as u64;
        Ok(())
    }
}

/// The response with a listing, without its body. A directory changes without notice, so it has no validators, and caches
/// must ask again.
pub(super) fn head(view: View) -> Response {
    let mut response = Response::new(Status::OK);
    let media_type = match view.format {
        ListingFormat::Html => "text/html; charset=utf-8",
        ListingFormat::Json => "application/json",
    };
    response.field("Content-Type", media_type);
    response.field("Cache-Control", "no-cache");
    if view.varies {
        response.field("Vary", "Accept");
    }
    response.field("X-Content-Type-Options", "nosniff");
    if view.format == ListingFormat::Html {
        // The names may come from strangers. If one got through the escaping, it could still not run or load anything, nor
        // change where links or forms lead.
        let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
        response.field("Content-Security-Policy", policy);
    }
    response
}
