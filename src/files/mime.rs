//! The media type of a file, by the extension of its name.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

/// Nothing is known of it.
const UNKNOWN: &str = "application/octet-stream";

/// Where `mime_guess` answers otherwise than is wanted here.
const OVERRIDES: &[(&str, &str)] =
    &[("js", "text/javascript"), ("mjs", "text/javascript"), ("swf", "application/x-shockwave-flash")];

/// Text that carries its own encoding, or has one by definition.
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

    /// SEED §3 and RULES §0: these exactly.
    #[test]
    fn types() {
        for (name, want) in [
            ("a.html", "text/html"),
            ("a.htm", "text/html"),
            ("a.css", "text/css"),
            ("a.js", "text/javascript"),
            ("a.MJS", "text/javascript"),
            ("a.jpg", "image/jpeg"),
            ("a.jpeg", "image/jpeg"),
            ("a.JPG", "image/jpeg"),
            ("a.png", "image/png"),
            ("a.gif", "image/gif"),
            ("a.svg", "image/svg+xml"),
            ("a.swf", "application/x-shockwave-flash"),
            ("a.txt", "text/plain; charset=utf-8"),
            ("text..txt", "text/plain; charset=utf-8"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.wasm", "application/wasm"),
            ("a.nothing-known", UNKNOWN),
            ("a", UNKNOWN),
            ("a.", UNKNOWN),
        ] {
            assert_eq!(content_type(OsStr::new(name)), want, "{name}");
        }
    }
}
