//! Pipes and terminals as parts of a dispatcher: `asyncore.file_dispatcher`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::sys::descriptor;

/// A pipe, a FIFO or a terminal, to read, to write or both, as a field of a dispatcher. (`asyncore.file_dispatcher`)
///
/// [`Context::recv`](crate::reactor::Context::recv) reads it, [`Context::write`](crate::reactor::Context::write) writes it.
/// The dispatcher of a write-only descriptor returns `false` from `readable`. A regular file is of no use here: epoll
/// refuses it, and select(2) and poll(2) report it ready at any time.
#[derive(Debug)]
pub struct FileDispatcher {
    file: File,
    interest: Interest,
}

impl FileDispatcher {
    /// Takes ownership of the descriptor (asyncore made a copy) and makes it non-blocking. (`set_file`)
    ///
    /// # Errors
    /// As fcntl(2).
    pub fn new(file: impl Into<OwnedFd>) -> io::Result<Self> {
        let file = file.into();
        descriptor::set_nonblocking(file.as_fd())?;
        let interest = match descriptor::access(file.as_fd())? {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, _) => Interest::WRITABLE,
        };
        Ok(Self { file: file.into(), interest })
    }
}

impl AsFd for FileDispatcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Read for FileDispatcher {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Write for FileDispatcher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for FileDispatcher {
    fn register(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        SourceFd(&self.file.as_raw_fd()).register(registry, token, self.interest)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, _: Interest) -> io::Result<()> {
        SourceFd(&self.file.as_raw_fd()).reregister(registry, token, self.interest)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.file.as_raw_fd()).deregister(registry)
    }
}
