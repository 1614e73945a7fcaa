//! The media type of a file, by the extension of its name.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

/// The type of a file with an unknown extension.
const UNKNOWN: &str = "application/octet-stream";

/// Types that differ from those of `mime_guess`.
const OVERRIDES: &[(&str, &str)] =
    &[("js", "text/javascript"), ("mjs", "text/javascript"), ("swf", "application/x-shockwave-flash")];

/// Types that declare their charset in the file, or have one by definition.
const BARE: [&str; 3] = ["text/html", "text/css", "text/javascript"];

/// The value of `Content-Type` for a file of this name.
pub(super) fn content_type(name: &OsStr) -> Cow<'static, str> {
    let Some(extension) = Path::new(name).extension().and_then(OsStr::to_str) else {
        return UNKNOWN.into();
    };
    let known = OVERRIDES.iter().find(|(this, _)| extension.eq_ignore_ascii_case(this));
    let media_type = match known {
        Some((_, media_type)) => media_type,
        None => mime_guess::from_ext(extension).first_raw().unwrap_or(UNKNOWN),
    };
    if media_type.starts_with("text/") && !BARE.contains(&media_type) {
        return format!("{media_type}; charset=utf-8").into();
    }
    media_type.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SEED §3 and RULES §0 name exactly these types.
    #[test]
    fn types() {
        for (want, names) in [
            ("text/html", "a.html a.htm"),
            ("text/css", "a.css"),
            ("text/javascript", "a.js a.MJS"),
            ("image/jpeg", "a.jpg a.jpeg a.JPG"),
            ("image/png", "a.png"),
            ("image/gif", "a.gif"),
            ("image/svg+xml", "a.svg"),
            ("application/x-shockwave-flash", "a.swf"),
            ("text/plain; charset=utf-8", "a.txt text..txt"),
            ("text/markdown; charset=utf-8", "a.md"),
            ("application/json", "a.json"),
            ("application/wasm", "a.wasm"),
            (UNKNOWN, "a.nothing-known a a."),
        ] {
            for name in names.split(' ') {
                assert_eq!(content_type(OsStr::new(name)), want, "{name}");
            }
        }
    }
}
