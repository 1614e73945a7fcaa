//! A QR code (ISO/IEC 18004) for a terminal: two modules in each letter, one above the other.

use qrcodegen::{QrCode, QrCodeEcc};

/// The light modules around a code, on each side (ISO/IEC 18004, "quiet zone").
const QUIET: i32 = 4;

/// Black on white by numbers of the 256 colours that no theme changes: readers want dark on light, and a terminal may be
/// either.
const COLOURS: &str = "\x1b[38;5;16;48;5;231m";

/// The lines of a code for a text; `None` if the text is too long for one.
pub(super) fn code(text: &str) -> Option<String> {
    QrCode::encode_text(text, QrCodeEcc::Low).ok().map(|code| lines(&code))
}

fn lines(code: &QrCode) -> String {
    let modules = || -QUIET..code.size() + QUIET;
    let mut text = String::new();
    for y in modules().step_by(2) {
        text += "  ";
        text += COLOURS;
        // Outside of the code every module is light.
        text.extend(modules().map(|x| match (code.get_module(x, y), code.get_module(x, y + 1)) {
            (false, false) => ' ',
            (true, false) => '▀',
            (false, true) => '▄',
            (true, true) => '█',
        }));
        text += "\x1b[0m\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The letters say what the modules are, and the zone around them is light.
    #[test]
    fn the_letters_are_the_modules() {
        let url = "http://192.168.178.123:9000/";
        let code = QrCode::encode_text(url, QrCodeEcc::Low).expect("a code");
        let text = super::code(url).expect("a code");
        let mut rows: Vec<Vec<bool>> = Vec::new();
        for line in text.lines() {
            let letters = line.strip_prefix("  ").and_then(|line| line.strip_prefix(COLOURS));
            let letters = letters.and_then(|line| line.strip_suffix("\x1b[0m")).expect("colours");
            rows.push(letters.chars().map(|letter| matches!(letter, '▀' | '█')).collect());
            rows.push(letters.chars().map(|letter| matches!(letter, '▄' | '█')).collect());
        }
        let side = usize::try_from(code.size() + 2 * QUIET).expect("a size");
        assert!(rows.len() == side + 1 && rows.iter().all(|row| row.len() == side));
        let mut dark = 0;
        for (y, row) in (-QUIET..).zip(&rows) {
            for (x, module) in (-QUIET..).zip(row) {
                assert_eq!(*module, code.get_module(x, y), "{x} {y}");
                dark += usize::from(*module);
            }
        }
        assert!(dark > 200, "{dark} dark modules");
        assert!(text.lines().count() <= 17 && side <= 40, "it fits a small terminal");
    }

    #[test]
    fn a_text_may_be_too_long() {
        assert!(code(&"x".repeat(3000)).is_none());
    }
}
