//! The page that lists a directory, made while it is sent.
//!
//! The head has its length before any size or time is known. So these two have cells of constant width, and the rest of
//! a row depends on the name only. The page reads the metadata of [`ROWS`] rows at a time, when there is room to send
//! them.

use std::fmt::{self, Write as _};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use percent_encoding::percent_encode;

use super::conditional::{self, PreconditionOutcome, Validators};
use super::listing::{DirectoryEntry, Listing};
use super::path::{ENCODED, ResolvedPath};
use crate::chat::{Chunk, Producer};
use crate::http1::{Body, Request, Response, Status};
use crate::sys::descriptor::{FileTime, Metadata};
use crate::sys::directory::metadata_at;

/// Rows in one piece of the page: about 8 KiB, and a fifth of a millisecond for their metadata. A turn makes sixteen pieces
/// at most.
const ROWS: usize = 64;

const STYLE: &str = concat!(include_str!("theme.css"), include_str!("page.css"));

const END: &str = "</table>\n";

/// The producer of a page.
#[derive(Debug)]
pub(super) struct Page {
    /// The listed directory, for the metadata of its names.
    directory: OwnedFd,
    /// The part above the rows, until it is sent.
    top: String,
    listing: Arc<Listing>,
    /// Rows that have been made.
    made: usize,
    /// Bytes that are left.
    remaining: u64,
}

impl Page {
    pub(super) fn new(directory: OwnedFd, path: &ResolvedPath, listing: Arc<Listing>) -> Self {
        let top = top(path, &listing);
        let rows_len = *listing.rows_len.get_or_init(|| rows_len(&listing));
        let remaining = top.len() as u64 + rows_len + END.len() as u64;
        Self { directory, top, listing, made: 0, remaining }
    }

    /// Size and time of an entry. An entry that was removed meanwhile keeps its row: the length is promised.
    fn cells(&self, entry: &DirectoryEntry) -> Cells {
        let metadata = match &entry.target {
            Some(target) => Some(**target),
            None => metadata_at(self.directory.as_fd(), &entry.name).ok(),
        };
        metadata.map_or_else(blank, |metadata| cells_of(entry, &metadata))
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

/// The bytes of all rows.
fn rows_len(listing: &Listing) -> u64 {
    let cells = blank();
    let mut length = Counter(0);
    for entry in &listing.entries {
        // Counting cannot fail.
        let _ = write_row(&mut length, entry, &cells);
    }
    length.0
}

/// The part above the rows.
fn top(path: &ResolvedPath, listing: &Listing) -> String {
    let mut title = String::from("/");
    let mut above = path.segments().count();
    let mut crumbs = format!("<a href=\"{}\">/</a>", up(above));
    for segment in path.segments() {
        above -= 1;
        let name = escaped(segment);
        let _ = write!(title, "{name}/");
        let _ = write!(crumbs, "<wbr><a href=\"{}\">{name}/</a>", up(above));
    }
    let parent = if title == "/" { "" } else { "<tr><td><a href=\"../\">../</a>\n" };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n<h1>{crumbs}</h1>\n<p>{}</p>\n<table>\n\
         <tr><th>Name<th>Size<th>Changed (UTC)\n{parent}",
        summary(listing)
    )
}

/// The relative URL of the directory `levels` above this one.
fn up(levels: usize) -> String {
    if levels == 0 { "./".into() } else { "../".repeat(levels) }
}

/// How many entries there are.
fn summary(listing: &Listing) -> String {
    let folders = listing.entries.iter().filter(|entry| entry.is_directory).count();
    let counts = [(folders, "folder"), (listing.entries.len() - folders, "file")];
    let counts: Vec<String> = (counts.into_iter().filter(|(count, _)| *count > 0))
        .map(|(count, noun)| format!("{} {noun}{}", Thousands(count), if count == 1 { "" } else { "s" }))
        .collect();
    if counts.is_empty() { "Nothing here".into() } else { counts.join(", ") }
}

/// Writes one row, whose length depends on the name only.
fn write_row(out: &mut impl fmt::Write, entry: &DirectoryEntry, cells: &Cells) -> fmt::Result {
    let name = entry.name.as_bytes();
    let slash = if entry.is_directory { "/" } else { "" };
    // Without format strings, because there may be ten thousand rows.
    out.write_str("<tr><td><a href=\"")?;
    percent_encode(name, ENCODED).try_for_each(|part| out.write_str(part))?;
    out.write_str(slash)?;
    out.write_str("\">")?;
    write_escaped(out, name)?;
    out.write_str(slash)?;
    out.write_str("</a>")?;
    let (size, time) = cells;
    writeln!(out, "<td>{size:>8}<td>{time:16}")
}

/// The cells of constant width: a size of at most 8 bytes, a time of 16 or 0.
type Cells = (String, String);

fn blank() -> Cells {
    Cells::default()
}

fn cells_of(entry: &DirectoryEntry, metadata: &Metadata) -> Cells {
    let size = if entry.is_directory { String::new() } else { human_size(metadata.size) };
    (size, human_time(metadata.modified))
}

/// A name as HTML text. Bytes that are not UTF-8 cannot be shown, and neither can characters that change how the text
/// around them is shown; the link is exact.
fn escaped(name: &[u8]) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write_escaped(&mut text, name);
    text
}

fn write_escaped(out: &mut impl fmt::Write, name: &[u8]) -> fmt::Result {
    for chunk in name.utf8_chunks() {
        let mut text = chunk.valid();
        let special = |text: &str| {
            let mut characters = text.char_indices();
            let (at, shown) = characters.find_map(|(at, character)| Some((at, substitute(character)?)))?;
            Some((at, shown, characters.offset()))
        };
        while let Some((at, shown, after)) = special(text) {
            out.write_str(&text[..at])?;
            out.write_str(shown)?;
            text = &text[after..];
        }
        out.write_str(text)?;
        if !chunk.invalid().is_empty() {
            out.write_char(char::REPLACEMENT_CHARACTER)?;
        }
    }
    Ok(())
}

/// The substitute for a character that has an effect on the HTML or the text around it.
fn substitute(character: char) -> Option<&'static str> {
    Some(match character {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#39;",
        // Line ends, and the direction of the text that follows.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => "\u{fffd}",
        control if control.is_control() => "\u{fffd}",
        _ => return None,
    })
}

/// Counts the written bytes.
struct Counter(u64);

impl fmt::Write for Counter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len() as u64;
        Ok(())
    }
}

/// A size with up to four digits: `123 B`, `4.5 KiB`, `678 MiB`.
pub(super) fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // The largest unit of which there is at least one: 2^10 per step.
    let step = (63 - bytes.leading_zeros()) / 10;
    let unit = UNITS[step as usize - 1];
    let tenths = (u128::from(bytes) * 10) >> (10 * step);
    if tenths < 100 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", tenths / 10)
    }
}

/// A time in UTC: `1994-11-06 08:49`.
pub(super) fn human_time(time: FileTime) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let date = httpdate::fmt_http_date(time.to_system());
    // Sun, 06 Nov 1994 08:49:37 GMT
    let (day, month, year, clock) = (&date[5..7], &date[8..11], &date[12..16], &date[17..22]);
    let month = MONTHS.find(month).unwrap_or_default() / 3 + 1;
    format!("{year}-{month:02}-{day} {clock}")
}

/// A number up to a million with a comma after the thousands.
pub(super) struct Thousands(pub(super) usize);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000 => write!(f, "{}", self.0),
            count => write!(f, "{},{:03}", count / 1_000, count % 1_000),
        }
    }
}

/// The response with a listing. A directory changes without notice, so it has no validators, and caches must ask again.
pub(super) fn respond(request: &Request<'_>, page: Page) -> Response {
    match conditional::evaluate(request, &Validators::default()) {
        PreconditionOutcome::Failed => return Response::error(Status::PRECONDITION_FAILED),
        PreconditionOutcome::NotModified => return Response::new(Status::NOT_MODIFIED),
        PreconditionOutcome::Send => {}
    }
    let mut response = Response::new(Status::OK);
    response.field("Content-Type", "text/html; charset=utf-8");
    response.field("Cache-Control", "no-cache");
    // The names may come from strangers. If one got through the escaping, it could still not run or load anything.
    response.field("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
    response.body = Body::Made(Box::new(page));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::descriptor::FileKind;
    use std::ffi::OsStr;

    fn entry(name: &[u8], is_directory: bool) -> DirectoryEntry {
        DirectoryEntry { name: OsStr::from_bytes(name).to_os_string(), is_directory, target: None }
    }

    /// The head has the length before any size or time is known.
    #[test]
    fn rows_are_as_long_as_their_names_make_them() {
        let metadata = |size| Metadata {
            kind: FileKind::Regular,
            size,
            inode: 1,
            device: 1,
            changed: FileTime { seconds: 0, nanoseconds: 0 },
            modified: FileTime { seconds: i64::try_from(size).expect("a time"), nanoseconds: 0 },
        };
        for entry in [entry(b"\xff<a> b", false), entry(b"folder", true)] {
            let row = |cells| {
                let mut row = String::new();
                write_row(&mut row, &entry, &cells).expect("a row");
                row
            };
            let blank = row(blank()).len();
            for size in [0, 5, 1023, 1 << 20, (1 << 40) - 1, u64::MAX >> 20] {
                assert_eq!(row(cells_of(&entry, &metadata(size))).len(), blank, "{size}");
            }
        }
        let mut row = String::new();
        write_row(&mut row, &entry(b"\xff<a>&\"'.txt", false), &blank()).expect("a row");
        let link = "<a href=\"%FF%3Ca%3E%26%22%27.txt\">\u{fffd}&lt;a&gt;&amp;&quot;&#39;.txt</a>";
        assert!(row.starts_with(&format!("<tr><td>{link}<td>")), "{row}");
        let name = "a\nb\t\u{1b}[31m\u{202e}gpj.\u{85}\u{7f}\u{2066}\u{2028}é";
        assert_eq!(escaped(name.as_bytes()), "a�b��[31m�gpj.����é");
    }

    #[test]
    fn summaries() {
        let summary = |folders, files| {
            let entries = (0..folders + files).map(|n| entry(b"x", n < folders)).collect();
            super::summary(&Listing { entries, ..Listing::default() })
        };
        assert_eq!(summary(0, 0), "Nothing here");
        assert_eq!(summary(1, 2), "1 folder, 2 files");
        assert_eq!(summary(0, 1234), "1,234 files");
        assert_eq!(summary(2, 0), "2 folders");
    }

    #[test]
    fn sizes() {
        for (bytes, want) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 * 1024 - 1, "9.9 KiB"),
            (10 * 1024, "10 KiB"),
            ((1 << 20) - 1, "1023 KiB"),
            (1 << 20, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "15 EiB"),
        ] {
            assert_eq!(human_size(bytes), want, "{bytes}");
            assert!(want.len() <= 8, "the width of the cell");
        }
    }

    #[test]
    fn times() {
        let time = |seconds| human_time(FileTime { seconds, nanoseconds: 1 });
        assert_eq!(time(784_111_777), "1994-11-06 08:49");
        assert_eq!(time(0), "1970-01-01 00:00");
        assert_eq!(time(i64::MAX), "9999-12-31 23:59");
        assert_eq!(time(i64::MIN), "1970-01-01 00:00");
    }
}
