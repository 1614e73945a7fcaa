//! Text that cannot end a line of the log, nor control the terminal that shows it.

use std::fmt::{self, Display, Formatter, Write};

/// Shows a value with control characters, line ends and the controls of writing direction escaped, byte by byte, as
/// `\xNN`. Messages have names of files and paths of clients in them.
#[derive(Debug)]
pub struct Printable<T>(pub T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", self.0)
    }
}

struct Escaper<'a, 'f>(&'a mut Formatter<'f>);

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, odd) in text.char_indices().filter(|(_, character)| is_control(*character)) {
            self.0.write_str(&text[plain..at])?;
            plain = at + odd.len_utf8();
            text[at..plain].bytes().try_for_each(|byte| write!(self.0, "\\x{byte:02x}"))?;
        }
        self.0.write_str(&text[plain..])
    }
}

/// C0, DEL and C1; the separators of lines and paragraphs; what changes the direction of writing (Unicode's
/// `Bidi_Control`).
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}')
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RULES C17.
    #[test]
    fn a_message_is_one_line_that_controls_nothing() {
        for (message, want) in [
            ("кошка 猫 \\ \"", "кошка 猫 \\ \""),
            ("a\nb\r\t\u{1b}[31m\u{7f}", "a\\x0ab\\x0d\\x09\\x1b[31m\\x7f"),
            ("\u{9b}31m\u{85}", "\\xc2\\x9b31m\\xc2\\x85"),
            ("gpj\u{202e}.exe\u{2069}", "gpj\\xe2\\x80\\xae.exe\\xe2\\x81\\xa9"),
            ("\u{2028}\u{2029}\u{61c}\u{200f}", "\\xe2\\x80\\xa8\\xe2\\x80\\xa9\\xd8\\x9c\\xe2\\x80\\x8f"),
        ] {
            assert_eq!(Printable(message).to_string(), want);
        }
    }
}
