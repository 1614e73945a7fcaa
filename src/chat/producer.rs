//! What makes output when the socket has room for it: `asynchat`'s producers.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Makes the bytes of an answer piece by piece, each when the one before it has left.
///
/// It may be sent to another thread: whatever drives a connection need not always be the same one.
pub trait Producer: fmt::Debug + Send {
    /// The next piece, or `None` when there is no more. (`producer.more()`; Python's empty bytes)
    ///
    /// # Errors
    /// When the rest cannot be made; what has been promised to the peer cannot be kept, so the connection
    /// is dropped.
    fn more(&mut self) -> io::Result<Option<Chunk>>;

    /// How many bytes will certainly come, as far as it is known.
    fn remaining(&self) -> u64 {
        0
    }
}

impl<P: Producer + ?Sized> Producer for Box<P> {
    fn more(&mut self) -> io::Result<Option<Chunk>> {
        (**self).more()
    }

    fn remaining(&self) -> u64 {
        (**self).remaining()
    }
}

/// One piece of output.
#[derive(Debug)]
pub enum Chunk {
    /// Bytes in memory.
    Bytes(Vec<u8>),
    /// A stretch of a file, to be sent by the kernel.
    File(FileSlice),
}

/// A stretch of an open file. Clones share the descriptor, and none of them moves its position.
#[derive(Clone)]
pub struct FileSlice {
    file: Arc<OwnedFd>,
    /// Where it begins.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

impl FileSlice {
    /// The stretch of `len` bytes from `offset`.
    #[must_use]
    pub fn new(file: OwnedFd, offset: u64, len: u64) -> Self {
        let file = Arc::new(file);
        Self { file, offset, len }
    }

    /// Another stretch of the same file.
    #[must_use]
    pub fn slice(&self, offset: u64, len: u64) -> Self {
        let file = Arc::clone(&self.file);
        Self { file, offset, len }
    }

    /// Leaves out the first `count` bytes.
    pub(super) fn advance(&mut self, count: u64) {
        debug_assert!(count <= self.len, "sent more than there is");
        self.offset += count;
        self.len -= count;
    }
}

impl AsFd for FileSlice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Debug for FileSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, len } = self;
        write!(f, "FileSlice({file:?}, {offset}..{})", offset + len)
    }
}

/// Hands out a byte string in pieces of `buffer_size`. (`asynchat.simple_producer`)
#[derive(Debug)]
pub struct SimpleProducer {
    data: Vec<u8>,
    sent: usize,
    buffer_size: usize,
}

impl SimpleProducer {
    /// Pieces of 512 bytes, as in asynchat.
    #[must_use]
    pub fn new(data: Vec<u8>) -> Self {
        Self::with_buffer_size(data, 512)
    }

    /// Pieces of `buffer_size` bytes, one at least.
    #[must_use]
    pub fn with_buffer_size(data: Vec<u8>, buffer_size: usize) -> Self {
        Self { data, sent: 0, buffer_size: buffer_size.max(1) }
    }
}

impl Producer for SimpleProducer {
    fn more(&mut self) -> io::Result<Option<Chunk>> {
        let rest = &self.data[self.sent..];
        let piece = &rest[..rest.len().min(self.buffer_size)];
        self.sent += piece.len();
        Ok((!piece.is_empty()).then(|| Chunk::Bytes(piece.to_vec())))
    }

    fn remaining(&self) -> u64 {
        (self.data.len() - self.sent) as u64
    }
}

/// Hands out a stretch of a file, whole: the kernel sends it piece by piece (`sendfile`), so there is no
/// chunk in memory at all. (the seed's `FileProducer`)
#[derive(Debug)]
pub struct FileProducer(Option<FileSlice>);

impl FileProducer {
    /// All of `slice`.
    #[must_use]
    pub fn new(slice: FileSlice) -> Self {
        Self((slice.len > 0).then_some(slice))
    }
}

impl Producer for FileProducer {
    fn more(&mut self) -> io::Result<Option<Chunk>> {
        Ok(self.0.take().map(Chunk::File))
    }

    fn remaining(&self) -> u64 {
        self.0.as_ref().map_or(0, |slice| slice.len)
    }
}
