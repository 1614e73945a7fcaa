//! JSON by hand.

use std::fmt;

/// A text with its quotes (RFC 8259 §7).
#[must_use]
pub fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    // Writing into a String cannot fail.
    let _ = write_string(&mut quoted, text);
    quoted
}

/// Writes a text with its quotes.
///
/// # Errors
/// As `out`.
pub fn write_string(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| needs_escape(*c)) {
        out.write_str(&rest[..at])?;
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            _ => write!(out, "\\u{:04x}", u32::from(c))?,
        }
        rest = &rest[at + c.len_utf8()..];
    }
    out.write_str(rest)?;
    out.write_char('"')
}

/// Also U+2028 and U+2029, which end a line of a script.
fn needs_escape(c: char) -> bool {
    matches!(c, '"' | '\\' | '\0'..' ' | '\u{7f}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back() {
        for text in
            ["", "Echo 3.1", "a \"quoted\" \\ back", "line\nend\t\0\u{1f}\u{7f}", "→ 5 µs \u{2028} Ж 🦀"]
        {
            let back: String = serde_json::from_str(&string(text)).expect("JSON");
            assert_eq!(back, text);
        }
        assert_eq!(string("a\n\u{2028}"), "\"a\\u000a\\u2028\"");
    }
}
