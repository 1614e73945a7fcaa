//! Opening what a path names, and asking the open descriptor what it is.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;

use super::path::Wanted;
use crate::chat::FileSlice;
use crate::http1::Body;
use crate::sys::beneath;
use crate::sys::descriptor::{Facts, Kind, facts, read_at};

/// Up to this size a file is read and leaves in one `send` with its head; above, `sendfile` saves more than
/// its extra call costs.
const SMALL: u64 = 16 * 1024;

/// The directory that is served.
#[derive(Debug)]
pub(super) struct Root {
    directory: OwnedFd,
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
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let directory = beneath::open_root(path)?;
        Ok(Self { directory })
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

    fn open_beneath(&self, path: &Path) -> io::Result<Found> {
        let root = self.directory.as_fd();
        let file = match beneath::open(root, path) {
            // A directory that may not be listed is one all the same: its index may be readable.
            Err(error)
                if error.kind() == io::ErrorKind::PermissionDenied && beneath::is_directory(root, path) =>
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
    /// The content, to be sent.
    pub(super) fn into_body(self) -> Body {
        if self.slice.len > SMALL {
            return Body::File(self.slice);
        }
        match self.read() {
            Some(bytes) => Body::Bytes(bytes),
            // It shrinks while we look: let the sending find out, and drop the connection if it must.
            None => Body::File(self.slice),
        }
    }

    /// All bytes, if there are as many as `fstat` said: the head with its length is made of that.
    fn read(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.slice.len).ok()?];
        let count = read_at(self.slice.as_fd(), &mut bytes, 0).ok()?;
        (count == bytes.len()).then_some(bytes)
    }
}
