//! From a request target to a path beneath the root: decode once, then normalise, then check.
//!
//! The order matters. Normalising before decoding lets `%2e%2e` through; decoding twice lets `%252e` through; both have
//! been CVEs. The kernel checks the path a second time (`sys::beneath`), independently of this module.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// The characters that are encoded in a segment of a `Location`: all but `unreserved` (RFC 3986 §2.3).
pub(super) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The name of a directory's own document.
pub(super) const INDEX: &str = "index.html";

/// The only name with a leading dot that is served, at the start of a path (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathError {
    /// A control character, an encoded slash, or `..` above the root: 400.
    Malformed,
    /// A name that begins with a dot: 404, as if it did not exist.
    Hidden,
}

/// The path of a target beneath the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResolvedPath {
    /// Relative to the root, without `.` and `..`; empty for the root itself.
    pub(super) relative: PathBuf,
    /// Whether the target ends like a directory (`/`, `/.`, `/..`).
    pub(super) as_directory: bool,
}

impl ResolvedPath {
    pub(super) fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.relative.iter().map(OsStr::as_bytes)
    }

    /// The path of the URL without a slash at its end, encoded.
    pub(super) fn url(&self) -> String {
        let mut url = String::new();
        for segment in self.segments() {
            url.push('/');
            url.extend(percent_encode(segment, ENCODED));
        }
        url
    }

    /// The directory of the document.
    pub(super) fn directory(&self) -> &Path {
        match self.relative.parent() {
            Some(parent) if !self.as_directory => parent,
            _ => &self.relative,
        }
    }

    /// The name of the document: the last name of the path, or [`INDEX`] in a directory.
    pub(super) fn name(&self) -> &OsStr {
        match self.relative.file_name() {
            Some(name) if !self.as_directory => name,
            _ => OsStr::new(INDEX),
        }
    }
}

/// Whether names with a leading dot are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dotfiles {
    /// They are served as all other names.
    Serve,
    /// They are hidden, except `.well-known`.
    Hide,
}

/// Whether a request for a name beneath a directory can succeed.
pub(super) fn is_served(name: &OsStr, dotfiles: Dotfiles) -> bool {
    let name = name.as_bytes();
    !name.iter().any(u8::is_ascii_control) && (dotfiles == Dotfiles::Serve || !name.starts_with(b"."))
}

/// Decodes and normalises the path of a target. (the seed's `url_normalize` and `translate_path`)
pub(super) fn normalise(path: &[u8], dotfiles: Dotfiles) -> Result<ResolvedPath, PathError> {
    // A decoded slash would become a separator that the client has not sent as one (RFC 3986 §2.2).
    if path.windows(3).any(|three| three.eq_ignore_ascii_case(b"%2f")) {
        return Err(PathError::Malformed);
    }
    let decoded: Cow<'_, [u8]> = percent_decode(path).into();
    if decoded.iter().any(u8::is_ascii_control) {
        return Err(PathError::Malformed);
    }
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut as_directory = true;
    for segment in decoded.split(|byte| *byte == b'/') {
        as_directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop().ok_or(PathError::Malformed)?;
            }
            name => segments.push(name),
        }
    }
    let hidden = |(at, name): (usize, &&[u8])| name.starts_with(b".") && (at > 0 || *name != WELL_KNOWN);
    if dotfiles == Dotfiles::Hide && segments.iter().enumerate().any(hidden) {
        return Err(PathError::Hidden);
    }
    let relative = std::ffi::OsString::from_vec(segments.join(&b'/')).into();
    Ok(ResolvedPath { relative, as_directory })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(target: &str) -> Result<(String, bool), PathError> {
        let path = normalise(target.as_bytes(), Dotfiles::Hide)?;
        Ok((path.relative.to_str().expect("UTF-8").to_string(), path.as_directory))
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
        let path = normalise(b"/%ff.txt", Dotfiles::Hide).expect("names are bytes");
        assert_eq!(path.relative, Path::new(OsStr::from_bytes(b"\xff.txt")), "RULES B18");
    }

    #[test]
    fn refusals() {
        for target in ["/..", "/../x", "/a/../../x", "/%2e%2e/x", "/.%2e/x", "/%2E%2e/x", "/a/%2e%2e/../x"] {
            assert_eq!(served(target), Err(PathError::Malformed), "RULES B1: {target}");
        }
        for target in ["/ok%00.png", "/%0d%0ax", "/%7f", "/..%2f..%2fetc/passwd", "/a%2Fb"] {
            assert_eq!(served(target), Err(PathError::Malformed), "RULES B3: {target}");
        }
        for target in
            ["/.git/config", "/a/.env", "/..a", "/...", "/a/.well-known", "/.htaccess", "/..\\..\\x"]
        {
            assert_eq!(served(target), Err(PathError::Hidden), "RULES B9: {target}");
        }
    }

    #[test]
    fn dotfiles_when_they_are_served() {
        for (target, path) in
            [("/.git/config", ".git/config"), ("/a/.env", "a/.env"), ("/...", "..."), ("/a/../.b", ".b")]
        {
            let resolved = normalise(target.as_bytes(), Dotfiles::Serve).expect("served");
            assert_eq!(resolved.relative, Path::new(path), "{target}");
        }
        for target in ["/..", "/.git/../../x", "/%2e%2e/.git"] {
            assert_eq!(normalise(target.as_bytes(), Dotfiles::Serve), Err(PathError::Malformed), "{target}");
        }
    }

    /// SEED §3: the seed's `url_normalize` never returned for these.
    #[test]
    fn the_seeds_endless_loops_end() {
        assert_eq!(served("/a../b"), Ok(("a../b".into(), false)));
        assert_eq!(served("/a../"), Ok(("a..".into(), true)));
        let deep = "/a/..".repeat(1600);
        assert_eq!(served(&deep), Ok((String::new(), true)));
    }
}
