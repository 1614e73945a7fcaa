//! Producers make output when the socket has room for it. (`asynchat`'s producers)

use std::fmt;
use std::io;

use super::file_slice::FileSlice;

/// Makes output piece by piece, each when the previous one has left.
///
/// It is [`Send`] because a driver may move connections between threads.
pub trait Producer: fmt::Debug + Send {
    /// Returns the next piece; `None` after the last one. (`producer.more()`, with `None` for Python's empty bytes)
    ///
    /// # Errors
    /// If the rest cannot be made. The connection is then closed, because the peer expects the rest.
    fn more(&mut self) -> io::Result<Option<Chunk>>;

    /// Returns the number of bytes that will certainly follow, as far as it is known.
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
    /// A slice of a file, which the kernel sends.
    File(FileSlice),
}

impl Chunk {
    /// Returns the length in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "an empty piece is as good as another")]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(slice) => slice.len,
        }
    }
}

/// Produces a byte string in pieces of `buffer_size` bytes. (`asynchat.simple_producer`)
#[derive(Debug)]
pub struct SimpleProducer {
    data: Vec<u8>,
    sent: usize,
    buffer_size: usize,
}

impl SimpleProducer {
    /// A producer of pieces of 512 bytes, as in asynchat.
    #[must_use]
    pub fn new(data: Vec<u8>) -> Self {
        Self::with_buffer_size(data, 512)
    }

    /// A producer of pieces of `buffer_size` bytes, at least 1.
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

/// Produces a slice of a file as one piece, which the kernel sends without a copy in memory (sendfile(2)). (the seed's
/// `FileProducer`)
#[derive(Debug)]
pub struct FileProducer(Option<FileSlice>);

impl FileProducer {
    /// A producer of `slice`.
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
