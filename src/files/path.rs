//! From a request target to a path beneath the root: decode once, then normalise, then check.
//!
//! The order matters. Normalising before decoding lets `%2e%2e` through; decoding twice lets `%252e` through; both have
//! been CVEs. The kernel checks the path a second time (`sys::beneath`), independently of this module.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode};

use super::glob::PathNames;

/// The characters that are encoded in a segment of a link: all but `unreserved` (RFC 3986 §2.3).
pub(super) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The name of a directory's own document, unless `--index` gives others.
pub(super) const INDEX: &str = "index.html";

/// The only name with a leading dot that is served, at the start of a path (RFC 8615).
pub(super) const WELL_KNOWN: &[u8] = b".well-known";

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// A NUL, or `..` above the root: 400.
    Malformed,
    /// A name that begins with a dot: 404, as if it did not exist.
    Hidden,
}

/// The path of a target beneath the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedPath {
    /// Relative to the root, without `.` and `..`; empty for the root itself.
    pub relative: PathBuf,
    /// Whether the target ends like a directory (`/`, `/.`, `/..`).
    pub as_directory: bool,
}

impl ResolvedPath {
    /// Iterates over the names of the path.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.relative.iter().map(OsStr::as_bytes)
    }

    /// The path for a log, where no byte of it may end the line or control a terminal.
    pub(super) fn shown(&self) -> impl fmt::Display {
        self.relative.as_os_str().as_bytes().escape_ascii()
    }

    /// The names of the path, for patterns.
    pub(super) fn names(&self) -> PathNames {
        let mut path = self.relative.as_os_str().as_bytes().to_vec();
        if self.as_directory && !path.is_empty() {
            path.push(b'/');
        }
        PathNames::of(&path)
    }
}

/// Whether names with a leading dot are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dotfiles {
    /// They are served as all other names.
    Serve,
    /// They are hidden, except `.well-known`.
    Hide,
}

/// Whether a request for a name beneath a directory can succeed.
pub(super) fn is_served(name: &OsStr, dotfiles: Dotfiles) -> bool {
    dotfiles == Dotfiles::Serve || !name.as_bytes().starts_with(b".")
}

/// Whether no file can have a name with this byte, so that it cannot be meant. The kernel takes a NUL for the end of the
/// path; every other control byte may be in a name.
fn is_in_no_path(byte: u8) -> bool {
    byte == 0
}

/// Decodes and normalises the path of a target. (the seed's `url_normalize` and `translate_path`)
///
/// An encoded slash separates names, as everywhere but in Apache: no name has a slash, and npm encodes the one in
/// `@scope%2fname`. The path is decoded before it is split, so `..%2f..` is two names.
///
/// # Errors
/// [`PathError`], which says what is wrong with the path.
pub fn normalise(path: &[u8], dotfiles: Dotfiles) -> Result<ResolvedPath, PathError> {
    let decoded: Cow<'_, [u8]> = percent_decode(path).into();
    if decoded.iter().copied().any(is_in_no_path) {
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
