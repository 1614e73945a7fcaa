//! The page that lists a directory, made while it is sent.
//!
//! Its length stands in the head, before any size or time is known: so these two have cells of constant
//! width, and everything else is known from the names. What is asked of the file system is asked for
//! [`ROWS`] rows at a time, when there is room to send them.

use std::fmt::{self, Write as _};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use percent_encoding::percent_encode;

use super::human::{Thousands, human_size, human_time};
use super::listing::{Entry, Listing};
use super::path::{ENCODED, Wanted};
use crate::chat::{Chunk, Producer};
use crate::sys::descriptor::Facts;
use crate::sys::directory::facts_at;

/// Rows in one piece of the page: some 30 KiB, and half a millisecond for what is asked of each.
const ROWS: usize = 256;

const STYLE: &str = include_str!("page.css");

const END: &str = "</table>\n";

/// A page that is on its way.
#[derive(Debug)]
pub(super) struct Page {
    /// The directory that is listed: sizes and times are asked of the names in it.
    directory: OwnedFd,
    /// What stands above the rows, until it is sent.
    top: String,
    listing: Arc<Listing>,
    /// How many rows have been made.
    made: usize,
    /// Bytes still to come.
    remaining: u64,
}

impl Page {
    pub(super) fn new(directory: OwnedFd, wanted: &Wanted, listing: Arc<Listing>) -> Self {
        let top = top(wanted, &listing);
        let remaining = top.len() as u64 + listing.rows_len + END.len() as u64;
        Self { directory, top, listing, made: 0, remaining }
    }

    /// Size and time of an entry. One that has vanished meanwhile has a row all the same: it was promised.
    fn cells(&self, entry: &Entry) -> Cells {
        if !self.listing.is_detailed {
            return Cells::None;
        }
        let facts = match &entry.target {
            Some(target) => Some(**target),
            None => facts_at(self.directory.as_fd(), &entry.name).ok(),
        };
        facts.map_or_else(Cells::blank, |facts| Cells::of(entry, &facts))
    }
}

impl Producer for Page {
    fn more(&mut self) -> io::Result<Option<Chunk>> {
        if self.remaining == 0 {
            return Ok(None);
        }
        let mut piece = std::mem::take(&mut self.top);
        for entry in self.listing.entries.iter().skip(self.made).take(ROWS) {
            // Writing into a String cannot fail.
            let _ = write_row(&mut piece, entry, &self.cells(entry));
        }
        self.made += ROWS;
        if self.made >= self.listing.entries.len() {
            piece.push_str(END);
        }
        self.remaining -= piece.len() as u64;
        Ok(Some(Chunk::Bytes(piece.into_bytes())))
    }

    fn remaining(&self) -> u64 {
        self.remaining
    }
}

/// The bytes that all rows will have.
pub(super) fn rows_len(listing: &Listing) -> u64 {
    let cells = if listing.is_detailed { Cells::blank() } else { Cells::None };
    let mut length = Counter(0);
    for entry in &listing.entries {
        // Counting cannot fail.
        let _ = write_row(&mut length, entry, &cells);
    }
    length.0
}

/// Everything above the rows.
fn top(wanted: &Wanted, listing: &Listing) -> String {
    let mut path = String::from("/");
    let mut crumbs = String::new();
    let mut above = wanted.segments().count();
    let _ = write!(crumbs, "<a href=\"{}\">/</a>", up(above));
    for segment in wanted.segments() {
        above -= 1;
        let name = Escaped(segment);
        let _ = write!(path, "{name}/");
        let _ = write!(crumbs, "<wbr><a href=\"{}\">{name}/</a>", up(above));
    }
    let columns = if listing.is_detailed { "<th>Size<th>Changed (UTC)" } else { "" };
    let parent = if path == "/" { "" } else { "<tr><td><a href=\"../\">../</a>\n" };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{path}</title>\n\
         <style>\n{STYLE}</style>\n<h1>{crumbs}</h1>\n<p>{}</p>\n<table>\n\
         <tr><th>Name{columns}\n{parent}",
        Summary(listing)
    )
}

/// The address of the directory so many levels up, relative to this one.
fn up(levels: usize) -> String {
    if levels == 0 { "./".into() } else { "../".repeat(levels) }
}

/// How many there are, and whether that is all.
struct Summary<'a>(&'a Listing);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listing { entries, is_cut, .. } = self.0;
        if *is_cut {
            return write!(f, "{} of more names: the rest is left out", Thousands(entries.len()));
        }
        let folders = entries.iter().filter(|entry| entry.is_directory).count();
        let files = entries.len() - folders;
        let plural = |count| if count == 1 { "" } else { "s" };
        match (folders, files) {
            (0, 0) => f.write_str("Nothing here"),
            (_, 0) => write!(f, "{} folder{}", Thousands(folders), plural(folders)),
            (0, _) => write!(f, "{} file{}", Thousands(files), plural(files)),
            _ => write!(
                f,
                "{} folder{}, {} file{}",
                Thousands(folders),
                plural(folders),
                Thousands(files),
                plural(files)
            ),
        }
    }
}

/// One row. Its length depends on the name alone.
fn write_row(out: &mut impl fmt::Write, entry: &Entry, cells: &Cells) -> fmt::Result {
    let name = entry.name.as_bytes();
    let slash = if entry.is_directory { "/" } else { "" };
    // No format string: there may be ten thousand of them.
    out.write_str("<tr><td><a href=\"")?;
    percent_encode(name, ENCODED).try_for_each(|part| out.write_str(part))?;
    out.write_str(slash)?;
    out.write_str("\">")?;
    write_escaped(out, name)?;
    out.write_str(slash)?;
    out.write_str("</a>")?;
    if let Cells::Shown { size, time } = cells {
        write!(out, "<td>{size:>8}<td>{time:16}")?;
    }
    out.write_str("\n")
}

/// What stands in the cells of constant width.
#[derive(Debug)]
enum Cells {
    /// There are no such cells.
    None,
    /// The size has 8 bytes at the most, the time 16 or none.
    Shown { size: String, time: String },
}

impl Cells {
    fn blank() -> Self {
        Self::Shown { size: String::new(), time: String::new() }
    }

    fn of(entry: &Entry, facts: &Facts) -> Self {
        let size = if entry.is_directory { String::new() } else { human_size(facts.size) };
        Self::Shown { size, time: human_time(facts.modified) }
    }
}

/// A name as text in HTML. What is not UTF-8 in it cannot be shown; the link beside it is exact.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0)
    }
}

fn write_escaped(out: &mut impl fmt::Write, name: &[u8]) -> fmt::Result {
    for piece in name.utf8_chunks() {
        let text = piece.valid();
        let mut written = 0;
        for (at, byte) in text.bytes().enumerate() {
            if let Some(entity) = entity(byte) {
                out.write_str(&text[written..at])?;
                out.write_str(entity)?;
                written = at + 1;
            }
        }
        out.write_str(&text[written..])?;
        if !piece.invalid().is_empty() {
            out.write_char(char::REPLACEMENT_CHARACTER)?;
        }
    }
    Ok(())
}

fn entity(byte: u8) -> Option<&'static str> {
    Some(match byte {
        b'&' => "&amp;",
        b'<' => "&lt;",
        b'>' => "&gt;",
        b'"' => "&quot;",
        b'\'' => "&#39;",
        _ => return None,
    })
}

/// Counts what is written.
struct Counter(u64);

impl fmt::Write for Counter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::descriptor::Kind;
    use std::ffi::OsStr;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn names_as_text() {
        for (name, want) in [
            (&b"plain.txt"[..], "plain.txt"),
            (b"<script>&\"'", "&lt;script&gt;&amp;&quot;&#39;"),
            (b"a\xffb\xc3", "a\u{fffd}b\u{fffd}"),
            ("м<".as_bytes(), "м&lt;"),
        ] {
            assert_eq!(Escaped(name).to_string(), want);
        }
    }

    fn entry(name: &[u8], is_directory: bool) -> Entry {
        Entry { name: OsStr::from_bytes(name).to_os_string(), is_directory, target: None }
    }

    /// The head promises a length before any size or time is known.
    #[test]
    fn rows_are_as_long_as_their_names_make_them() {
        let facts = |size| Facts {
            kind: Kind::Regular,
            size,
            inode: 1,
            device: 1,
            changed: UNIX_EPOCH,
            modified: UNIX_EPOCH + Duration::from_secs(size),
        };
        for entry in [entry(b"\xff<a> b", false), entry(b"folder", true)] {
            let row = |cells| {
                let mut row = String::new();
                write_row(&mut row, &entry, &cells).expect("a row");
                row
            };
            let blank = row(Cells::blank()).len();
            for size in [0, 5, 1023, 1 << 20, (1 << 40) - 1, u64::MAX >> 20] {
                assert_eq!(row(Cells::of(&entry, &facts(size))).len(), blank, "{size}");
            }
        }
        let mut row = String::new();
        write_row(&mut row, &entry(b"\xff<a>.txt", false), &Cells::blank()).expect("a row");
        assert!(row.starts_with("<tr><td><a href=\"%FF%3Ca%3E.txt\">\u{fffd}&lt;a&gt;.txt</a><td>"), "{row}");
    }

    #[test]
    fn summaries() {
        let summary = |folders, files, is_cut| {
            let entries = (0..folders + files).map(|n| entry(b"x", n < folders)).collect();
            Summary(&Listing { entries, is_cut, is_detailed: true, rows_len: 0 }).to_string()
        };
        assert_eq!(summary(0, 0, false), "Nothing here");
        assert_eq!(summary(1, 2, false), "1 folder, 2 files");
        assert_eq!(summary(0, 1234, false), "1,234 files");
        assert_eq!(summary(2, 0, false), "2 folders");
        assert_eq!(summary(0, 10_000, true), "10,000 of more names: the rest is left out");
    }
}
