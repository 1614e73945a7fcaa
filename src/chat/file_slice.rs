//! A slice of an open file, which the kernel sends.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Whether the content of an open file is still what it was when its length was promised.
pub trait Unchanged: fmt::Debug + Send + Sync {
    /// Compares the file with what it was.
    ///
    /// # Errors
    /// If it has changed, or cannot be compared.
    fn check(&self, file: BorrowedFd<'_>) -> io::Result<()>;
}

/// A file whose content is not compared.
#[derive(Debug)]
struct Unchecked;

impl Unchanged for Unchecked {
    fn check(&self, _file: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// An open file, and what its content is compared with.
#[derive(Debug)]
struct OpenFile<U: ?Sized> {
    file: File,
    unchanged: U,
}

/// A slice of an open file. Clones share the descriptor; the position of the file is not used.
#[derive(Clone)]
pub struct FileSlice {
    file: Arc<OpenFile<dyn Unchanged>>,
    /// The position of the slice in the file, in bytes.
    pub offset: u64,
    /// The length of the slice in bytes.
    pub len: u64,
    /// Whether the bytes are copied, and not sent from the pages of the file: a write to the file would change those even
    /// after the kernel has taken them.
    pub is_copied: bool,
}

impl FileSlice {
    /// A slice of `len` bytes from `offset` on.
    #[must_use]
    pub fn new(file: OwnedFd, offset: u64, len: u64) -> Self {
        Self {
            file: Arc::new(OpenFile { file: file.into(), unchanged: Unchecked }),
            offset,
            len,
            is_copied: false,
        }
    }

    /// A slice from the beginning of the file, whose sending ends when the file changes meanwhile.
    #[must_use]
    pub fn checked(file: OwnedFd, len: u64, unchanged: impl Unchanged + 'static) -> Self {
        Self { file: Arc::new(OpenFile { file: file.into(), unchanged }), offset: 0, len, is_copied: false }
    }

    /// Another slice of the same file.
    #[must_use]
    pub fn slice(&self, offset: u64, len: u64) -> Self {
        Self { offset, len, ..self.clone() }
    }

    /// Fails if the file has changed. Bytes that were taken from it before are then not of one version.
    ///
    /// # Errors
    /// As [`Unchanged::check`].
    pub fn check(&self) -> io::Result<()> {
        self.file.unchanged.check(self.as_fd())
    }

    /// Reads the first bytes of the slice, up to the length of `buffer`; returns their number, less only where the file ends.
    ///
    /// # Errors
    /// As pread(2), and as [`FileSlice::check`].
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.len).map_or(buffer.len(), |len| len.min(buffer.len()));
        let mut filled = 0;
        while filled < wanted {
            match self.file.file.read_at(&mut buffer[filled..wanted], self.offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.check()?;
        Ok(filled)
    }

    /// Removes the first `count` bytes.
    pub(super) fn advance(&mut self, count: u64) {
        debug_assert!(count <= self.len, "sent more than there is");
        self.offset += count;
        self.len -= count;
    }
}

impl AsFd for FileSlice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.file.as_fd()
    }
}

impl fmt::Debug for FileSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, len, .. } = self;
        write!(f, "FileSlice({:?}, {offset}..{})", file.file, offset + len)
    }
}
