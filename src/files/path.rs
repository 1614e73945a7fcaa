//! From a request target to an open file beneath the root: decode once, then normalise, then check, then open.
//!
//! The order matters. Normalising before decoding lets `%2e%2e` through; decoding twice lets `%252e` through; both have
//! been CVEs. The kernel checks the path a second time (`sys::beneath`), independently of this module. Type, size and
//! times come from the open descriptor, never from the name.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode};
use rustix::io::Errno;

use crate::chat::FileSlice;
use crate::sys::beneath::{self, Symlinks};
use crate::sys::descriptor::{FileKind, Metadata, metadata, read_at};

/// The characters that are encoded in a segment of a link: all but `unreserved` (RFC 3986 §2.3).
pub(super) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The name of a directory's own document.
pub(super) const INDEX: &str = "index.html";

/// The only name with a leading dot that is served, at the start of a path (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

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

    /// The directory of the document.
    pub(super) fn directory(&self) -> &Path {
        match self.relative.parent() {
            Some(parent) if !self.as_directory => parent,
            _ => &self.relative,
        }
    }

    /// Returns the name of the document: the last name of the path, or `index.html` in a directory.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        match self.relative.file_name() {
            Some(name) if !self.as_directory => name,
            _ => OsStr::new(INDEX),
        }
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
    let name = name.as_bytes();
    !name.iter().any(u8::is_ascii_control) && (dotfiles == Dotfiles::Serve || !name.starts_with(b"."))
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

/// The directory that is served.
#[derive(Debug)]
pub(super) struct Root {
    directory: OwnedFd,
    symlinks: Symlinks,
}

/// The file that a path leads to.
#[derive(Debug)]
pub(super) enum OpenOutcome {
    File(File),
    Directory,
}

/// An open regular file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) metadata: Metadata,
    /// The whole file.
    pub(super) slice: FileSlice,
}

impl Root {
    /// Opens the root. Symlinks on the way to it are the operator's own and are always followed.
    pub(super) fn open(path: &Path, symlinks: Symlinks) -> io::Result<Self> {
        Ok(Self::of(beneath::open_root(path)?, symlinks))
    }

    pub(super) fn of(directory: OwnedFd, symlinks: Symlinks) -> Self {
        Self { directory, symlinks }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Opens the file at `path`, or the index of the directory.
    pub(super) fn find(&self, path: &ResolvedPath) -> io::Result<OpenOutcome> {
        if path.as_directory {
            return match self.open_beneath(&path.relative.join(INDEX))? {
                OpenOutcome::Directory => Err(Errno::NOENT.into()),
                file @ OpenOutcome::File(_) => Ok(file),
            };
        }
        self.open_beneath(&path.relative)
    }

    /// Opens the file that has `suffix` after the name of the file at `path`, unless it is older than `not_before`.
    pub(super) fn sibling(&self, path: &ResolvedPath, suffix: &str, not_before: SystemTime) -> Option<File> {
        let mut name = path.name().to_os_string();
        name.push(suffix);
        match self.open_beneath(&path.directory().join(name)) {
            Ok(OpenOutcome::File(file)) if file.metadata.modified >= not_before => Some(file),
            _ => None,
        }
    }

    /// Opens a directory to list it.
    pub(super) fn open_directory(&self, path: &ResolvedPath) -> io::Result<(OwnedFd, Metadata)> {
        // The path of the root itself is empty, and open(2) refuses an empty path.
        let path = Path::new(".").join(&path.relative);
        let directory = beneath::open(self.directory.as_fd(), &path, self.symlinks)?;
        let metadata = metadata(directory.as_fd())?;
        match metadata.kind {
            FileKind::Directory => Ok((directory, metadata)),
            FileKind::Regular | FileKind::Other => Err(Errno::NOTDIR.into()),
        }
    }

    /// Opens `path` beneath the root.
    pub(super) fn open_beneath(&self, path: &Path) -> io::Result<OpenOutcome> {
        let root = self.directory.as_fd();
        let file = match beneath::open(root, path, self.symlinks) {
            // The index of a directory may be readable even if the directory is not.
            Err(error)
                if error.kind() == io::ErrorKind::PermissionDenied
                    && beneath::is_directory(root, path, self.symlinks) =>
            {
                return Ok(OpenOutcome::Directory);
            }
            file => file?,
        };
        let metadata = metadata(file.as_fd())?;
        match metadata.kind {
            FileKind::Directory => Ok(OpenOutcome::Directory),
            // A FIFO, a socket or a device could block (RULES B8).
            FileKind::Other => Err(Errno::NOENT.into()),
            FileKind::Regular => {
                Ok(OpenOutcome::File(File { slice: FileSlice::new(file, 0, metadata.size), metadata }))
            }
        }
    }
}

impl File {
    /// The largest file that is read and leaves in one `send` with its head; for a larger one `sendfile` saves more
    /// than its extra call costs.
    pub(super) const SMALL: u64 = 16 * 1024;

    /// Reads all bytes of a small file, if there are as many as fstat(2) said: the head has that length. If the file
    /// shrinks meanwhile, the sending notices it and drops the connection.
    pub(super) fn read_small(slice: &FileSlice) -> Option<Arc<[u8]>> {
        let length = usize::try_from(slice.len).ok().filter(|_| slice.len <= Self::SMALL)?;
        let mut bytes = vec![0; length];
        let count = read_at(slice.as_fd(), &mut bytes, 0).ok()?;
        (count == length).then(|| bytes.into())
    }
}
