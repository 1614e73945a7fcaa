//! Opening files beneath the root; type, size and times come from the open descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::io::Errno;

use super::path::{INDEX, ResolvedPath};
use crate::chat::FileSlice;
use crate::sys::beneath::{self, Symlinks};
use crate::sys::descriptor::{FileKind, Metadata, metadata, read_at};

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
