//! JSON by hand.

use std::fmt::Write as _;

/// A text with its quotes (RFC 8259 §7).
#[must_use]
pub fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Also U+2028 and U+2029, which end a line of a script.
            '\0'..' ' | '\u{7f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
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
