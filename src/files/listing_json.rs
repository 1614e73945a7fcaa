//! A listing as JSON (RFC 8259): an array of one object for each entry, with the fields of nginx's `autoindex_format json`.
//!
//! | field | value |
//! |---|---|
//! | `name` | the name; a sequence of bytes that is not UTF-8 is U+FFFD |
//! | `type` | `"file"` or `"directory"` |
//! | `mtime` | the last modification as an HTTP date in GMT (RFC 9110 §5.6.7); left out if it cannot be read |
//! | `size` | bytes; of files only, and left out as `mtime` is |
//! | `url` | the exact name, percent-encoded, with a slash after that of a directory: relative to the listing |

use std::fmt;

use percent_encoding::percent_encode;

use super::listing::EntryFacts;
use super::path::ENCODED;
use crate::json;

pub(super) const TOP: &str = "[";
pub(super) const END: &str = "\n]\n";

/// Writes the object of an entry, after the comma that follows the one before.
pub(super) fn write_row(
    out: &mut impl fmt::Write,
    name: &[u8],
    is_directory: bool,
    facts: EntryFacts,
    is_first: bool,
) -> fmt::Result {
    out.write_str(if is_first { "\n{ \"name\":" } else { ",\n{ \"name\":" })?;
    json::write_string(out, &String::from_utf8_lossy(name))?;
    out.write_str(if is_directory { ", \"type\":\"directory\"" } else { ", \"type\":\"file\"" })?;
    if let Some(modified) = facts.modified {
        write!(out, ", \"mtime\":\"{}\"", httpdate::HttpDate::from(modified.to_system()))?;
        if !is_directory {
            write!(out, ", \"size\":{}", facts.size)?;
        }
    }
    out.write_str(", \"url\":\"")?;
    // A colon is encoded, so no name is taken for a scheme; and nothing that is left needs an escape.
    percent_encode(name, ENCODED).try_for_each(|part| out.write_str(part))?;
    out.write_str(if is_directory { "/\" }" } else { "\" }" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::descriptor::FileTime;

    #[test]
    fn rows() {
        let row = |name: &[u8], is_directory, facts| {
            let mut row = String::new();
            write_row(&mut row, name, is_directory, facts, true).expect("a row");
            row
        };
        let modified = Some(FileTime { seconds: 784_111_777, nanoseconds: 5 });
        assert_eq!(
            row(b"a \"b\".txt", false, EntryFacts { size: 1536, modified }),
            r#"
{ "name":"a \"b\".txt", "type":"file", "mtime":"Sun, 06 Nov 1994 08:49:37 GMT", "size":1536, "url":"a%20%22b%22.txt" }"#
        );
        assert_eq!(
            row(b"\xffsub", true, EntryFacts::default()),
            "\n{ \"name\":\"\u{fffd}sub\", \"type\":\"directory\", \"url\":\"%FFsub/\" }"
        );
    }
}
