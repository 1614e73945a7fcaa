//! From a request target to a path beneath the root: decoded once, then normalised, then judged.
//!
//! The order is the point. Normalising before decoding lets `%2e%2e` through; decoding twice lets `%252e`
//! through; both have been CVEs. And this is only the first wall: the second is the kernel's
//! (`sys::beneath`), which does not depend on anything here.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode};

/// What is encoded in a path segment of a `Location`: all but `unreserved` (RFC 3986 §2.3).
pub(super) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The one name with a leading dot that is served, first in a path only (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// A target that leads to no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A control character, an encoded slash, or `..` above the root: 400.
    Malformed,
    /// A name that begins with a dot: 404, as if it did not exist.
    Hidden,
}

/// What a target asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Relative to the root, without `.` and `..`; empty for the root itself.
    pub(super) relative: PathBuf,
    /// Whether the target ends like a directory (`/`, `/.`, `/..`).
    pub(super) as_directory: bool,
}

impl Wanted {
    /// The names along the path.
    pub(super) fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.relative.iter().map(OsStr::as_bytes)
    }

    /// The directory that the document is in.
    pub(super) fn directory(&self) -> &Path {
        match self.relative.parent() {
            Some(parent) if !self.as_directory => parent,
            _ => &self.relative,
        }
    }

    /// The name of the document: the path's last, or `index` in a directory.
    pub(super) fn name(&self, index: &'static str) -> Cow<'_, OsStr> {
        match self.relative.file_name() {
            Some(name) if !self.as_directory => name.into(),
            _ => OsStr::new(index).into(),
        }
    }
}

/// Whether names with a leading dot are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dotfiles {
    /// They are names like all others.
    Serve,
    /// They do not exist, with one exception (`.well-known`).
    Hide,
}

/// Whether a name beneath a directory can be asked for at all.
pub(super) fn is_served(name: &OsStr, dotfiles: Dotfiles) -> bool {
    let name = name.as_bytes();
    !name.iter().any(u8::is_ascii_control) && (dotfiles == Dotfiles::Serve || !name.starts_with(b"."))
}

/// Decodes and normalises the path of a target. (the seed's `url_normalize` and `translate_path`)
pub(super) fn normalise(path: &[u8], dotfiles: Dotfiles) -> Result<Wanted, Refused> {
    // A decoded slash would be a separator that the client did not write as one (RFC 3986 §2.2).
    if path.windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f")) {
        return Err(Refused::Malformed);
    }
    let decoded: Cow<'_, [u8]> = percent_decode(path).into();
    if decoded.iter().any(u8::is_ascii_control) {
        return Err(Refused::Malformed);
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut as_directory = true;
    for segment in decoded.split(|byte| *byte == b'/') {
        as_directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop().ok_or(Refused::Malformed)?;
            }
            name => segments.push(name),
        }
    }
    let hidden = |(at, name): (usize, &&[u8])| name.starts_with(b".") && (at > 0 || *name != WELL_KNOWN);
    if dotfiles == Dotfiles::Hide && segments.iter().enumerate().any(hidden) {
        return Err(Refused::Hidden);
    }
    let relative = std::ffi::OsString::from_vec(segments.join(&b'/')).into();
    Ok(Wanted { relative, as_directory })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(target: &str) -> Result<(String, bool), Refused> {
        normalise(target.as_bytes(), Dotfiles::Hide).map(|wanted| {
            let path = wanted.relative.to_str().expect("UTF-8").to_string();
            (path, wanted.as_directory)
        })
    }

    #[test]
    fn paths() {
        for (target, path, as_directory) in [
            ("/", "", true),
            ("//", "", true),
            ("/ok", "ok", false),
            ("/a//b", "a/b", false),
            ("/a/./b/", "a/b", true),
            ("/a/../b", "b", false),
            ("/a/b/..", "a", true),
            ("/a/.", "a", true),
            ("/%70%61ge%20one.html", "page one.html", false),
            ("/text..txt", "text..txt", false),
            ("/%252e%252e/x", "%2e%2e/x", false),
            ("/a../b", "a../b", false),
            ("/%D0%BC", "м", false),
            ("/.well-known/x", ".well-known/x", false),
            ("/a\\b", "a\\b", false),
        ] {
            assert_eq!(served(target), Ok((path.into(), as_directory)), "{target}");
        }
        let wanted = normalise(b"/%ff.txt", Dotfiles::Hide).expect("names are bytes");
        assert_eq!(wanted.relative, Path::new(OsStr::from_bytes(b"\xff.txt")), "RULES B18");
    }

    #[test]
    fn refusals() {
        for target in ["/..", "/../x", "/a/../../x", "/%2e%2e/x", "/.%2e/x", "/%2E%2e/x", "/a/%2e%2e/../x"] {
            assert_eq!(served(target), Err(Refused::Malformed), "RULES B1: {target}");
        }
        for target in ["/ok%00.png", "/%0d%0ax", "/%7f", "/..%2f..%2fetc/passwd", "/a%2Fb"] {
            assert_eq!(served(target), Err(Refused::Malformed), "RULES B3: {target}");
        }
        for target in
            ["/.git/config", "/a/.env", "/..a", "/...", "/a/.well-known", "/.htaccess", "/..\\..\\x"]
        {
            assert_eq!(served(target), Err(Refused::Hidden), "RULES B9: {target}");
        }
    }

    #[test]
    fn dotfiles_when_they_are_served() {
        for (target, path) in
            [("/.git/config", ".git/config"), ("/a/.env", "a/.env"), ("/...", "..."), ("/a/../.b", ".b")]
        {
            let wanted = normalise(target.as_bytes(), Dotfiles::Serve).expect("served");
            assert_eq!(wanted.relative, Path::new(path), "{target}");
        }
        for target in ["/..", "/.git/../../x", "/%2e%2e/.git"] {
            assert_eq!(normalise(target.as_bytes(), Dotfiles::Serve), Err(Refused::Malformed), "{target}");
        }
    }

    /// SEED §3: the seed's `url_normalize` never ended on these.
    #[test]
    fn the_seeds_endless_loops_end() {
        assert_eq!(served("/a../b"), Ok(("a../b".into(), false)));
        assert_eq!(served("/a../"), Ok(("a..".into(), true)));
        let deep = "/a/..".repeat(1600);
        assert_eq!(served(&deep), Ok((String::new(), true)));
    }
}
