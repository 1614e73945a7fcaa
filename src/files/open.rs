//! Opening what a path names, and asking the open descriptor what it is.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustix::io::Errno;

use super::path::Wanted;
use crate::chat::FileSlice;
use crate::sys::beneath::{self, Symlinks};
use crate::sys::descriptor::{Facts, Kind, facts, read_at};

/// The directory that is served.
#[derive(Debug)]
pub(super) struct Root {
    directory: OwnedFd,
    symlinks: Symlinks,
}

/// What a path names.
#[derive(Debug)]
pub(super) enum Found {
    File(File),
    Directory,
}

/// An open regular file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) facts: Facts,
    /// All of it.
    pub(super) slice: FileSlice,
}

impl Root {
    /// Symlinks on the way to the root itself are the operator's own, and are always followed.
    pub(super) fn open(path: &Path, symlinks: Symlinks) -> io::Result<Self> {
        Ok(Self::of(beneath::open_root(path)?, symlinks))
    }

    /// A directory that is open.
    pub(super) fn of(directory: OwnedFd, symlinks: Symlinks) -> Self {
        Self { directory, symlinks }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Opens what is wanted; in a directory, its index.
    pub(super) fn find(&self, wanted: &Wanted, index: &str) -> io::Result<Found> {
        if wanted.as_directory {
            return match self.open_beneath(&wanted.relative.join(index))? {
                Found::Directory => Err(Errno::NOENT.into()),
                file @ Found::File(_) => Ok(file),
            };
        }
        self.open_beneath(&wanted.relative)
    }

    /// The file with `suffix` behind the name of the wanted one, if it is a file and not older than that.
    pub(super) fn sibling(
        &self,
        wanted: &Wanted,
        index: &'static str,
        suffix: &str,
        not_before: SystemTime,
    ) -> Option<File> {
        let mut name = wanted.name(index).into_owned();
        name.push(suffix);
        match self.open_beneath(&wanted.directory().join(name)) {
            Ok(Found::File(file)) if file.facts.modified >= not_before => Some(file),
            _ => None,
        }
    }

    /// Opens a directory to be listed.
    pub(super) fn open_directory(&self, wanted: &Wanted) -> io::Result<(OwnedFd, Facts)> {
        // The root itself has an empty path, which names nothing.
        let path = Path::new(".").join(&wanted.relative);
        let directory = beneath::open(self.directory.as_fd(), &path, self.symlinks)?;
        let facts = facts(directory.as_fd())?;
        match facts.kind {
            Kind::Directory => Ok((directory, facts)),
            Kind::Regular | Kind::Other => Err(Errno::NOTDIR.into()),
        }
    }

    /// Opens what `path` names, beneath the root.
    pub(super) fn open_beneath(&self, path: &Path) -> io::Result<Found> {
        let root = self.directory.as_fd();
        let file = match beneath::open(root, path, self.symlinks) {
            // A directory that may not be listed is one all the same: its index may be readable.
            Err(error)
                if error.kind() == io::ErrorKind::PermissionDenied
                    && beneath::is_directory(root, path, self.symlinks) =>
            {
                return Ok(Found::Directory);
            }
            file => file?,
        };
        let facts = facts(file.as_fd())?;
        match facts.kind {
            Kind::Directory => Ok(Found::Directory),
            // A FIFO, a socket, a device: nothing to serve, and not to be waited for (RULES B8).
            Kind::Other => Err(Errno::NOENT.into()),
            Kind::Regular => Ok(Found::File(File { slice: FileSlice::new(file, 0, facts.size), facts })),
        }
    }
}

impl File {
    /// Up to this size a file is read and leaves in one `send` with its head; above, `sendfile` saves more
    /// than its extra call costs.
    pub(super) const SMALL: u64 = 16 * 1024;

    /// All bytes of a small file, if there are as many as `fstat` said: the head with its length is made of
    /// that. If it shrinks while we look the sending finds out, and drops the connection if it must.
    pub(super) fn read_small(slice: &FileSlice) -> Option<Arc<[u8]>> {
        let length = usize::try_from(slice.len).ok().filter(|_| slice.len <= Self::SMALL)?;
        let mut bytes = vec![0; length];
        let count = read_at(slice.as_fd(), &mut bytes, 0).ok()?;
        (count == length).then(|| bytes.into())
    }
}
