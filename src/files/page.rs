//! The page that lists a directory, made while it is sent.
//!
//! Its length stands in the head, before any size or time is known: so these two have cells of constant
//! width, and everything else is known from the names. What is asked of the file system is asked for
//! [`ROWS`] rows at a time, when there is room to send them.

use std::fmt::{self, Write as _};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::percent_encode;

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
    rows: std::vec::IntoIter<Entry>,
    /// Bytes still to come.
    remaining: u64,
}

impl Page {
    pub(super) fn new(directory: OwnedFd, wanted: &Wanted, listing: Listing) -> Self {
        let top = top(wanted, &listing);
        let mut length = Counter((top.len() + END.len()) as u64);
        for entry in &listing.entries {
            // Counting cannot fail.
            let _ = write_row(&mut length, entry, &Cells::default());
        }
        Self { directory, top, rows: listing.entries.into_iter(), remaining: length.0 }
    }

    /// Size and time of an entry. One that has vanished meanwhile has a row all the same: it was promised.
    fn cells(&self, entry: &Entry) -> Cells {
        let facts = match &entry.target {
            Some(target) => Some(**target),
            None => facts_at(self.directory.as_fd(), &entry.name).ok(),
        };
        facts.map(|facts| Cells::of(entry, &facts)).unwrap_or_default()
    }
}

impl Producer for Page {
    fn more(&mut self) -> io::Result<Option<Chunk>> {
        if self.remaining == 0 {
            return Ok(None);
        }
        let mut piece = std::mem::take(&mut self.top);
        for _ in 0..ROWS {
            let Some(entry) = self.rows.next() else {
                break;
            };
            let cells = self.cells(&entry);
            // Writing into a String cannot fail.
            let _ = write_row(&mut piece, &entry, &cells);
        }
        if self.rows.len() == 0 {
            piece.push_str(END);
        }
        self.remaining -= piece.len() as u64;
        Ok(Some(Chunk::Bytes(piece.into_bytes())))
    }

    fn remaining(&self) -> u64 {
        self.remaining
    }
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
    let parent = if path == "/" { "" } else { "<tr><td><a href=\"../\">../</a><td><td>\n" };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{path}</title>\n\
         <style>\n{STYLE}</style>\n<h1>{crumbs}</h1>\n<p>{}</p>\n<table>\n\
         <tr><th>Name<th>Size<th>Changed (UTC)\n{parent}",
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
        let Listing { entries, is_cut } = self.0;
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

/// A number up to a million with a comma where readers look for one.
struct Thousands(usize);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000 => write!(f, "{}", self.0),
            count => write!(f, "{},{:03}", count / 1_000, count % 1_000),
        }
    }
}

/// One row. Its length depends on the name alone.
fn write_row(out: &mut impl fmt::Write, entry: &Entry, cells: &Cells) -> fmt::Result {
    let name = entry.name.as_bytes();
    let slash = if entry.is_directory { "/" } else { "" };
    let href = percent_encode(name, ENCODED);
    let Cells { size, time } = cells;
    writeln!(out, "<tr><td><a href=\"{href}{slash}\">{}{slash}</a><td>{size:>8}<td>{time:16}", Escaped(name))
}

/// What stands in the cells of constant width.
#[derive(Debug, Default)]
struct Cells {
    /// At most 8 bytes.
    size: String,
    /// 16 bytes, or none.
    time: String,
}

impl Cells {
    fn of(entry: &Entry, facts: &Facts) -> Self {
        let size = if entry.is_directory { String::new() } else { human_size(facts.size) };
        Self { size, time: human_time(facts.modified) }
    }
}

/// `123 B`, `4.5 KiB`, `678 MiB`: three digits say enough.
fn human_size(bytes: u64) -> String {
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

/// `1994-11-06 08:49`, which sorts as it reads.
fn human_time(time: SystemTime) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    /// The last second of the year 9999: no date has five digits for its year.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let date = httpdate::fmt_http_date(time.min(UNIX_EPOCH + LAST));
    // Sun, 06 Nov 1994 08:49:37 GMT
    let (day, month, year, clock) = (&date[5..7], &date[8..11], &date[12..16], &date[17..22]);
    let month = MONTHS.find(month).unwrap_or_default() / 3 + 1;
    format!("{year}-{month:02}-{day} {clock}")
}

/// A name as text in HTML. What is not UTF-8 in it cannot be shown; the link beside it is exact.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.0.utf8_chunks() {
            for part in piece.valid().split_inclusive(['&', '<', '>', '"', '\'']) {
                let special = part.chars().next_back().and_then(|last| Some((last, entity(last)?)));
                match special {
                    Some((last, entity)) => {
                        f.write_str(&part[..part.len() - last.len_utf8()])?;
                        f.write_str(entity)?;
                    }
                    None => f.write_str(part)?,
                }
            }
            if !piece.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

fn entity(character: char) -> Option<&'static str> {
    Some(match character {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#39;",
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
            assert!(want.len() <= 8, "the cell has room for it");
        }
    }

    #[test]
    fn times() {
        let time = |seconds| human_time(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(time(784_111_777), "1994-11-06 08:49");
        assert_eq!(time(0), "1970-01-01 00:00");
        assert_eq!(time(u64::from(u32::MAX) << 8), "9999-12-31 23:59");
    }

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
            let blank = row(Cells::default()).len();
            for size in [0, 5, 1023, 1 << 20, (1 << 40) - 1, u64::MAX >> 20] {
                assert_eq!(row(Cells::of(&entry, &facts(size))).len(), blank, "{size}");
            }
        }
        let mut row = String::new();
        write_row(&mut row, &entry(b"\xff<a>.txt", false), &Cells::default()).expect("a row");
        assert!(row.starts_with("<tr><td><a href=\"%FF%3Ca%3E.txt\">\u{fffd}&lt;a&gt;.txt</a><td>"), "{row}");
    }

    #[test]
    fn summaries() {
        let summary = |folders, files, is_cut| {
            let entries = (0..folders + files).map(|n| entry(b"x", n < folders)).collect();
            Summary(&Listing { entries, is_cut }).to_string()
        };
        assert_eq!(summary(0, 0, false), "Nothing here");
        assert_eq!(summary(1, 2, false), "1 folder, 2 files");
        assert_eq!(summary(0, 1234, false), "1,234 files");
        assert_eq!(summary(2, 0, false), "2 folders");
        assert_eq!(summary(0, 10_000, true), "10,000 of more names: the rest is left out");
    }
}
