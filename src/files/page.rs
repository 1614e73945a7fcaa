//! The page of a listing: what is above its rows, and one row.
//!
//! The head has the length of the page before any size or time is known. So these two have cells of constant width, and
//! the rest of a row depends on the name and the order only.

use std::fmt::{self, Write as _};

use percent_encoding::percent_encode;

use super::listing::EntryFacts;
use super::path::{ENCODED, ResolvedPath};
use super::view::{SortKey, SortOrder};
use crate::sys::descriptor::FileTime;

const STYLE: &str = concat!(include_str!("theme.css"), include_str!("page.css"));

/// What is below the rows.
pub(super) const END: &str = "</table>\n";

/// The part above the rows of a directory with this number of folders and files.
pub(super) fn top(path: &ResolvedPath, order: SortOrder, folders: usize, files: usize) -> String {
    // Links to folders keep the order.
    let query = escaped(order.to_string().as_bytes());
    let mut title = String::from("/");
    let mut above = path.segments().count();
    let mut crumbs = format!("<a href=\"{}{query}\">/</a>", up(above));
    for segment in path.segments() {
        above -= 1;
        let name = escaped(segment);
        let _ = write!(title, "{name}/");
        let _ = write!(crumbs, "<wbr><a href=\"{}{query}\">{name}/</a>", up(above));
    }
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n<h1>{crumbs}</h1>\n<p>{}</p>\n<table>\n<tr>",
        summary(folders, files)
    );
    for (key, heading) in SortKey::ALL.into_iter().zip(["Name", "Size", "Changed (UTC)"]) {
        write_heading(&mut page, key, heading, order);
    }
    page.push('\n');
    if title != "/" {
        let _ = writeln!(page, "<tr><td><a href=\"../{query}\">../</a>");
    }
    page
}

/// Writes a cell of the first row: a link to the listing in the order of its column. The first click on sizes or dates
/// shows the largest or newest first, the next one turns the order around.
fn write_heading(page: &mut String, key: SortKey, heading: &str, now: SortOrder) {
    let is_descending = if now.key == key { !now.is_descending } else { key != SortKey::Name };
    let query = escaped(SortOrder { key, is_descending }.to_string().as_bytes());
    let href = if query.is_empty() { "./" } else { &query };
    let sorted = match now.is_descending {
        _ if now.key != key => "",
        true => " aria-sort=\"descending\"",
        false => " aria-sort=\"ascending\"",
    };
    let _ = write!(page, "<th scope=\"col\"{sorted}><a href=\"{href}\">{heading}</a>");
}

/// The relative URL of the directory `levels` above this one.
fn up(levels: usize) -> String {
    if levels == 0 { "./".into() } else { "../".repeat(levels) }
}

/// How many entries there are.
fn summary(folders: usize, files: usize) -> String {
    let counts = [(folders, "folder"), (files, "file")];
    let counts: Vec<String> = (counts.into_iter().filter(|(count, _)| *count > 0))
        .map(|(count, noun)| format!("{} {noun}{}", Thousands(count), if count == 1 { "" } else { "s" }))
        .collect();
    if counts.is_empty() { "Nothing here".into() } else { counts.join(", ") }
}

/// Writes one row, whose length depends on the name and the order only.
pub(super) fn write_row(
    out: &mut impl fmt::Write,
    name: &[u8],
    is_directory: bool,
    facts: Option<EntryFacts>,
    order: SortOrder,
) -> fmt::Result {
    let slash = if is_directory { "/" } else { "" };
    // Without format strings, because there may be a million rows.
    out.write_str("<tr><td><a href=\"")?;
    percent_encode(name, ENCODED).try_for_each(|part| out.write_str(part))?;
    out.write_str(slash)?;
    if is_directory && order != SortOrder::default() {
        write_escaped(out, order.to_string().as_bytes())?;
    }
    out.write_str("\">")?;
    write_escaped(out, name)?;
    out.write_str(slash)?;
    out.write_str("</a>")?;
    let (size, time) = cells(is_directory, facts);
    writeln!(out, "<td>{size:>8}<td>{time:16}")
}

/// The cells of constant width: a size of at most 8 bytes, a time of 16 or 0.
fn cells(is_directory: bool, facts: Option<EntryFacts>) -> (String, String) {
    let Some(EntryFacts { size, modified: Some(modified) }) = facts else {
        return Default::default();
    };
    (if is_directory { String::new() } else { human_size(size) }, human_time(modified))
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

/// A number with a comma after each three digits.
pub(super) struct Thousands(pub(super) usize);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000 => write!(f, "{}", self.0),
            count => write!(f, "{},{:03}", Self(count / 1_000), count % 1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &[u8], is_directory: bool, facts: Option<EntryFacts>) -> String {
        let mut row = String::new();
        write_row(&mut row, name, is_directory, facts, SortOrder::default()).expect("a row");
        row
    }

    /// The head has the length before any size or time is known.
    #[test]
    fn rows_are_as_long_as_their_names_make_them() {
        for (name, is_directory) in [(&b"\xff<a> b"[..], false), (b"folder", true)] {
            let blank = row(name, is_directory, None).len();
            for size in [0, 5, 1023, 1 << 20, (1 << 40) - 1, u64::MAX >> 20] {
                let modified =
                    Some(FileTime { seconds: i64::try_from(size).expect("a time"), nanoseconds: 0 });
                let facts = EntryFacts { size, modified };
                assert_eq!(row(name, is_directory, Some(facts)).len(), blank, "{size}");
            }
        }
        let row = row(b"\xff<a>&\"'.txt", false, None);
        let link = "<a href=\"%FF%3Ca%3E%26%22%27.txt\">\u{fffd}&lt;a&gt;&amp;&quot;&#39;.txt</a>";
        assert!(row.starts_with(&format!("<tr><td>{link}<td>")), "{row}");
        let name = "a\nb\t\u{1b}[31m\u{202e}gpj.\u{85}\u{7f}\u{2066}\u{2028}é";
        assert_eq!(escaped(name.as_bytes()), "a�b��[31m�gpj.����é");
    }

    #[test]
    fn headings_lead_to_the_other_order() {
        use SortKey::{Date, Name, Size};
        let heading = |key, is_descending, of| {
            let mut page = String::new();
            write_heading(&mut page, of, "X", SortOrder { key, is_descending });
            page
        };
        for (key, is_descending, of, want) in [
            (Name, false, Name, " aria-sort=\"ascending\"><a href=\"?sort=name&amp;order=desc\">X</a>"),
            (Name, true, Name, " aria-sort=\"descending\"><a href=\"./\">X</a>"),
            (Name, false, Size, "><a href=\"?sort=size&amp;order=desc\">X</a>"),
            (Size, true, Size, " aria-sort=\"descending\"><a href=\"?sort=size&amp;order=asc\">X</a>"),
            (Size, false, Date, "><a href=\"?sort=date&amp;order=desc\">X</a>"),
            (Date, true, Name, "><a href=\"./\">X</a>"),
        ] {
            assert_eq!(heading(key, is_descending, of), format!("<th scope=\"col\"{want}"));
        }
        let mut row = String::new();
        let order = SortOrder { key: Size, is_descending: true };
        write_row(&mut row, b"sub", true, None, order).expect("a row");
        assert!(row.contains("<a href=\"sub/?sort=size&amp;order=desc\">sub/</a>"), "{row}");
    }

    #[test]
    fn summaries() {
        assert_eq!(summary(0, 0), "Nothing here");
        assert_eq!(summary(1, 2), "1 folder, 2 files");
        assert_eq!(summary(0, 1234), "1,234 files");
        assert_eq!(summary(2, 1_000_000), "2 folders, 1,000,000 files");
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
